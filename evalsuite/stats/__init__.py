"""Statistics: standard errors, intervals, tests and power."""
