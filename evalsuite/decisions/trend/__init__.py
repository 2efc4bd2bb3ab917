"""Scores over the checkpoints of a training run, and which changes exceed their noise."""
