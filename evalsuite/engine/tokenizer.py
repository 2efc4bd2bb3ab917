"""A Hugging Face tokenizer behind the protocol; transformers is imported when it is first used."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalsuite.checkpoints import ModelFiles, tokenizer_folder
from evalsuite.checkpoints.digests import has_own_tokenizer_code
from evalsuite.engine.quiet import quiet_transformers
from evalsuite.engine.tokenizer_check import checked
from evalsuite.errors import ModelError
from evalsuite.types import TokenIds

TEXTS_PER_CALL = 2048
"""The tokenizer keeps offsets and masks of a whole call in memory: forty times the text."""
TEKKEN = "tekken.json"
PANIC = "PanicException"
"""What the tokenizers' library raises where its own code fails; it is no `Exception`."""


class HuggingFaceTokenizer:
    """Text to token ids with the tokenizer of a model's folder, GGUF file or checkpoint.

    Args:
        files: where it is.
        trust_remote_code: let the folder run code of its own.
        prefix_token: what stands before a text without a context (a token as the vocabulary spells it, or its
            id), in place of the BOS token, else the EOS token.
    """

    def __init__(
        self, files: ModelFiles, *, trust_remote_code: bool = False, prefix_token: str | None = None
    ) -> None:
        self.files = files
        self._trust_remote_code = trust_remote_code
        self._prefix_token = prefix_token

    @property
    def notes(self) -> tuple[str, ...]:
        """What the run log should say about it; nothing before it is used."""
        return self._loaded[1] if "_loaded" in self.__dict__ else ()

    @property
    def _tokenizer(self) -> Any:
        return self._loaded[0]

    @functools.cached_property
    def _loaded(self) -> tuple[Any, tuple[str, ...]]:
        try:
            with quiet_transformers():
                folder = tokenizer_folder(self.files)
                read = _read(folder, self.files.gguf_file, self._trust_remote_code)
                tokenizer, notes = (read, ()) if self.files.gguf_file else checked(read, folder)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(_unreadable(self.files, error, self._trust_remote_code)) from error
        # Texts longer than the window are the caller's business; transformers would warn.
        tokenizer.model_max_length = 10**30
        return tokenizer, notes

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

    @functools.cached_property
    def prefix_id(self) -> int | None:
        """Token before a text without a context; raises ModelError where `prefix_token` names none."""
        if self._prefix_token is None:
            return self.eos_id if self.bos_id is None else self.bos_id
        size, named = len(self._tokenizer), self._prefix_token
        found = int(named) if named.isdecimal() else self._tokenizer.get_vocab().get(named)
        if found is None or found >= size:
            raise ModelError(
                f"--prefix-token {named}: the tokenizer of '{self.files.name}' has no such token; give a token as its "
                f"vocabulary spells it, or an id from 0 to {size - 1}."
            )
        return found

    def encode(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[int]]:
        """Token ids of each text; `special_tokens` lets the tokenizer add what it adds by default.

        Raises:
            ValueError: the tokenizer cannot read one of the texts.
        """
        tokenizer, ids = self._tokenizer, []
        try:
            for start in range(0, len(texts), TEXTS_PER_CALL):
                chunk = list(texts[start : start + TEXTS_PER_CALL])
                encoded = tokenizer(chunk, add_special_tokens=special_tokens, return_attention_mask=False)
                ids.extend(encoded["input_ids"])
        except BaseException as error:  # Boundary: a tokenizer may be anybody's code.
            if not isinstance(error, Exception) and type(error).__name__ != PANIC:
                raise
            reason = next(iter(str(error).splitlines()), "")[:200]
            raise ValueError(
                f"The tokenizer cannot read the text ({type(error).__name__}: {reason})"
            ) from error
        return ids

    def decode(
        self, ids: Sequence[int] | TokenIds, *, special_tokens: bool = False, clean_up: bool = False
    ) -> str:
        """Text of the ids, spaces as the tokens have them unless `clean_up` lets the tokenizer do as it is
        set up."""
        return self._tokenizer.decode(
            list(ids),
            skip_special_tokens=not special_tokens,
            clean_up_tokenization_spaces=None if clean_up else False,
        )

    @functools.cached_property
    def special_texts(self) -> Mapping[int, str]:
        """How its special tokens are spelled, by id: those that `decode` leaves out."""
        tokenizer = self._tokenizer
        known = getattr(tokenizer, "added_tokens_decoder", {})  # mistral-common's has none
        added = {one: str(token) for one, token in known.items() if token.special}
        return {**dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)), **added}

    def token_text(self, token: int) -> str:
        """One token for people to read: its text with its blank, a special token or half of a character by
        its name."""
        piece = self._tokenizer.convert_ids_to_tokens(token)
        text = self._tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if not isinstance(piece, str):
            return text
        if piece.startswith("▁") and not text.startswith(" "):  # Decoders strip the first blank of a text.
            return f" {text}"
        return piece if not text or "\ufffd" in text else text


def _read(folder: Path, gguf_file: str | None, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": True}
    if gguf_file:
        options["gguf_file"] = gguf_file
    elif (folder / TEKKEN).is_file():
        # Left to itself, transformers reads the one file or the other by what packages are installed.
        options["mistral_format"] = not (folder / "tokenizer.json").is_file()
    return AutoTokenizer.from_pretrained(folder, **options)


def _unreadable(files: ModelFiles, error: Exception, trusted: bool) -> str:
    if isinstance(error, ImportError) and files.is_hf_folder and (files.folder / TEKKEN).is_file():
        return (
            f"The tokenizer of model '{files.name}' is {TEKKEN}, which the package mistral-common reads: pip install "
            "mistral-common, or name a tokenizer with --tokenizer."
        )
    first_line = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".:")
    hint = ""
    if files.is_hf_folder and has_own_tokenizer_code(files) and not trusted:
        hint = " Its folder has code of its own: allow it with --trust-remote-code."
    return f"The tokenizer of model '{files.name}' cannot be read from {files.folder}: {first_line}.{hint}"
