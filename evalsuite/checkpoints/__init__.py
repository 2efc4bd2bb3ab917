"""Finds a model's files, identifies their content, and gives the folders that transformers loads.

`resolve` turns what the user wrote after `--model` into `ModelFiles`; `weights_digest` and
`tokenizer_digest` identify their content; `model_folder` and `tokenizer_folder` are the folders that
transformers loads; `aliases` is the table of short names. Formats that transformers does not load are
`CheckpointFormat`s. Nothing here imports torch or transformers, so that a finished run does not pay for them.
"""

from evalsuite.checkpoints.aliases import Alias, aliases
from evalsuite.checkpoints.digests import tokenizer_digest, weights_digest
from evalsuite.checkpoints.formats import CheckpointFormat, model_folder, tokenizer_folder
from evalsuite.checkpoints.locate import resolve
from evalsuite.checkpoints.model_files import ModelFiles

__all__ = [
    "Alias",
    "CheckpointFormat",
    "ModelFiles",
    "aliases",
    "model_folder",
    "resolve",
    "tokenizer_digest",
    "tokenizer_folder",
    "weights_digest",
]
