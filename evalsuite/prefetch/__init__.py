"""Puts the rows that tasks need into a folder for `--data`, for machines without a network."""
