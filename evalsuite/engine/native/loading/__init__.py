"""From files to a model in memory, with nothing missing and nothing left over."""
