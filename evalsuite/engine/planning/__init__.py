"""Plans which requests are computed together: packs, batches, prefixes. Imports no torch."""
