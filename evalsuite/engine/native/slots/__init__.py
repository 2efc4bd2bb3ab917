"""Text generation with slots: shared prefixes once, rows that come and go."""
