"""Text generation with slots: shared prefixes run once, and new rows take the slots of finished ones."""
