"""What a model does over a packed tree: attention, convolutions and recurrences along each token's own
sequence."""
