"""Renders a typed question into the exact text that a model sees."""
