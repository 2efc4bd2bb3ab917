"""Faster linear and feed-forward layers for CPUs."""
