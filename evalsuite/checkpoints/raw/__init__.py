"""What formats of raw checkpoints share: checkpoints of training frameworks, given with `--model-config`.

`RawFormat` (in `format`) is the base class. A format says which stored tensor is which tensor of the model;
here every tensor is accounted for (`account`), and the model is written as a folder that transformers loads,
one tensor in memory at a time (`write`). Modules that import torch are imported when one is converted.
"""
