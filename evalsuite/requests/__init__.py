"""From a task's documents to token-level requests for an engine."""
