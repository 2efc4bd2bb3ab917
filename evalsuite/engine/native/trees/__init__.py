"""Computation over packed trees: attention, convolutions and recurrences along each token's own sequence."""
