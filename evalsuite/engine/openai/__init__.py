"""Answers from a server with `/v1/completions`."""
