"""Faster layers for CPUs."""
