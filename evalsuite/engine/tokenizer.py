"""A Hugging Face tokenizer behind the protocol; transformers is imported when it is first used."""

import functools
from collections.abc import Sequence
from typing import Any

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.nemo import tokenizer_folder
from evalsuite.engine.quiet import quiet_transformers
from evalsuite.errors import ModelError
from evalsuite.types import TokenIds

TEXTS_PER_CALL = 2048
"""The tokenizer keeps offsets and masks of a whole call in memory: forty times the text."""


class HuggingFaceTokenizer:
    """Text to token ids with the tokenizer of a model's folder, GGUF file or NeMo archive."""

    def __init__(self, files: ModelFiles, *, trust_remote_code: bool = False) -> None:
        self._files = files
        self._trust_remote_code = trust_remote_code

    @functools.cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        try:
            with quiet_transformers():
                tokenizer = AutoTokenizer.from_pretrained(
                    tokenizer_folder(self._files),
                    gguf_file=self._files.gguf_file,
                    trust_remote_code=self._trust_remote_code,
                    local_files_only=True,
                )
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(_unreadable(self._files, error)) from error
        # Texts longer than the window are the caller's business; transformers would warn.
        tokenizer.model_max_length = 10**30
        return tokenizer

    @property
    def bos_id(self) -> int | None:
        """Token that begins a sequence, if there is one."""
        return self._tokenizer.bos_token_id

    @property
    def eos_id(self) -> int | None:
        """Token that ends a sequence, if there is one."""
        return self._tokenizer.eos_token_id

    @property
    def bos_text(self) -> str:
        """How the BOS token is spelled; empty if there is none."""
        return self._tokenizer.bos_token or ""

    def encode(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[int]]:
        """Token ids of each text; `special_tokens` lets the tokenizer add what it adds by default."""
        ids: list[list[int]] = []
        for start in range(0, len(texts), TEXTS_PER_CALL):
            chunk = list(texts[start : start + TEXTS_PER_CALL])
            encoded = self._tokenizer(
                chunk,
                add_special_tokens=special_tokens,
                return_attention_mask=False,
                return_token_type_ids=False,
            )
            ids.extend(encoded["input_ids"])
        return ids

    def decode(self, ids: Sequence[int] | TokenIds) -> str:
        """Text of the ids, special tokens left out, spaces as the tokens have them."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def _unreadable(files: ModelFiles, error: Exception) -> str:
    first_line = str(error).strip().split("\n")[0]
    hint = (
        " Its folder has code of its own: allow it with --trust-remote-code."
        if "remote" in first_line
        else ""
    )
    return f"The tokenizer of model '{files.name}' cannot be read from {files.folder}: {first_line}{hint}"
