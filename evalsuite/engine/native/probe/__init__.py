"""Probes: which attention a model requests, which lengths change it, and how trials reach those lengths."""
