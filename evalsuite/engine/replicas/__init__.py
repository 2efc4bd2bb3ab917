"""Replicas of an engine, each in its own process, on one machine or many (Ray)."""
