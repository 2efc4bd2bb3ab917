"""A tokenizer in this process, read back from its own files, so that the user's object is not changed."""

import tempfile
from pathlib import Path
from typing import Any

from evalsuite.checkpoints import ModelFiles, tokenizer_digest
from evalsuite.checkpoints.file_digests import forget_digests_below
from evalsuite.engine.token_options import TokenOptions
from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from evalsuite.errors import UserError


class LiveTokenizer(HuggingFaceTokenizer):
    """A copy of a transformers tokenizer.

    Its digest is that of the files that `save_pretrained` writes, which is the digest of a checkpoint that
    the same object is saved with. The files lie in a temporary folder until they are read.

    Args:
        tokenizer: a tokenizer of transformers.
        prefix_token: as for `HuggingFaceTokenizer`.
    """

    def __init__(self, tokenizer: Any, prefix_token: str | None = None) -> None:
        name = tokenizer.name_or_path or type(tokenizer).__name__
        with tempfile.TemporaryDirectory(prefix="evalsuite-tokenizer-") as folder:
            tokenizer.save_pretrained(folder)
            files = ModelFiles(name, Path(folder))
            super().__init__(files, trust_remote_code=True, prefix_token=prefix_token)
            self._digest = tokenizer_digest(files)
            _ = self._loaded
            forget_digests_below(Path(folder))

    def digest(self, *, verify: bool = False) -> str:
        """SHA-256 over the files that the tokenizer was read from."""
        return self._digest


def tokenizer_of(given: Any, prefix_token: str | None = None) -> HuggingFaceTokenizer:
    """The tokenizer that a user gives: an object of transformers or tokenizers, or the name of a folder.

    Raises:
        UserError: it is something else.
        ModelError: it cannot be found or read.
    """
    if isinstance(given, HuggingFaceTokenizer):
        return given
    if isinstance(given, str | Path):
        options = TokenOptions(str(given), prefix_token)
        return options.make(ModelFiles.elsewhere(str(given)), trust_remote_code=False)
    if hasattr(given, "save_pretrained") and hasattr(given, "convert_ids_to_tokens"):
        return LiveTokenizer(given, prefix_token)
    if type(given).__module__.partition(".")[0] == "tokenizers":
        from transformers import PreTrainedTokenizerFast

        return LiveTokenizer(PreTrainedTokenizerFast(tokenizer_object=given), prefix_token)
    raise UserError(
        f"The tokenizer is a {type(given).__name__}; give one of transformers or tokenizers, or the name of "
        "a folder with one."
    )
