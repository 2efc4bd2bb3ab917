"""Builds token-level requests for an engine from a task's documents."""
