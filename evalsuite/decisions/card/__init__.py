"""Compares a run with published numbers: which are comparable, and how they differ."""
