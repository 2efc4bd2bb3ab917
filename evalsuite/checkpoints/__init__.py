"""Which model is meant, where its files are, and what their content digest is.

`resolve` turns what the user wrote after `--model` into `ModelFiles`; `weights_digest` and
`tokenizer_digest` identify their content; `aliases` is the table of short names. Nothing here
imports torch or transformers, so that a finished run does not pay for them.
"""

from evalsuite.checkpoints.aliases import Alias, aliases
from evalsuite.checkpoints.digests import tokenizer_digest, weights_digest
from evalsuite.checkpoints.files import ModelFiles
from evalsuite.checkpoints.locate import resolve

__all__ = ["Alias", "ModelFiles", "aliases", "resolve", "tokenizer_digest", "weights_digest"]
