"""Decisions that follow from runs: compare, gate, card, trend."""
