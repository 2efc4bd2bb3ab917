"""Many checkpoints of one training, and what their noise allows to say."""
