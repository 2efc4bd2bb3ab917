"""PyTorch's distributed checkpoints (`torch.distributed.checkpoint`) as models of transformers.

`format` is what evalsuite asks about a folder (`evalsuite.checkpoints.formats`). `index` reads what the
folder holds, `names` cleans the names of its tensors, and `namings` tells which of them is which tensor of
the model: transformers' own names, torchtitan's or OLMo-core's. `choose` decides which naming it is.
"""
