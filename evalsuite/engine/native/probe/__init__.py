"""What a model asks of attention, which lengths change it, and how to reach them in a trial."""
