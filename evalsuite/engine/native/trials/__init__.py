"""Each form of computation is held against plain passes before it is used."""
