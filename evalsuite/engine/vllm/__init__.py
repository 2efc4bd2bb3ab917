"""Answers from vLLM on this machine's GPUs."""
