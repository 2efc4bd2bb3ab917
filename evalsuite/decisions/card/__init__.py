"""A model card beside a run: which published numbers are comparable, and how they differ."""
