"""Published numbers, one file per publication; installed as `evalsuite.cards`."""
