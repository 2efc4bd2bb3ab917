"""Engines whose model is a module in this process, such as the one that a training loop updates."""
