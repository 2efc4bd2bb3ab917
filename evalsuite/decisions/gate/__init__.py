"""Decides by a policy whether a candidate may replace a baseline."""
