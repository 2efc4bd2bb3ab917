"""What is computed together: packs, batches, prefixes. No torch is imported here."""
