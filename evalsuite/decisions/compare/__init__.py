"""Compares two runs document by document."""
