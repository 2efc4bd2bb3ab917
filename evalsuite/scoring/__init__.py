"""Scores answers: gives a verdict on each document."""
