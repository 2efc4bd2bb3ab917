"""Two runs, document by document."""
