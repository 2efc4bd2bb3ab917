"""Checkpoints of Megatron-Core trainings: GPT models and Mamba hybrids.

`format` is what evalsuite asks about a checkpoint (`evalsuite.checkpoints.formats`). `names` and `assemble`
are shared with NeMo archives, whose weights Megatron wrote, too.
"""
