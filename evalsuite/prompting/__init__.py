"""From a typed question to the exact text that a model sees."""
