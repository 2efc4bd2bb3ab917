"""A Hugging Face tokenizer as a `Tokenizer`; transformers is imported when it is first used."""

import functools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from evalsuite.checkpoints import ModelFiles, tokenizer_digest, tokenizer_folder
from evalsuite.checkpoints.digests import has_own_tokenizer_code
from evalsuite.checkpoints.gguf_copies import drop_copy, keep_copy, whole_copy
from evalsuite.checkpoints.gguf_package import speed_up_gguf
from evalsuite.checkpoints.tokenizer_check import checked
from evalsuite.engine.quiet import quiet_transformers
from evalsuite.errors import ModelError
from evalsuite.types import TokenIds

TEXTS_PER_CALL = 2048
"""Texts per call: the tokenizer keeps offsets and masks of a whole call in memory, forty times the text."""
TEKKEN = "tekken.json"
PART = "tokenizer"
"""Name of the kept copy of a GGUF file's tokenizer."""
TOKENIZER_BYTES = 2**24
"""Free disk space that such a copy may need."""
PANIC = "PanicException"
"""Raised by the tokenizers library when its Rust code panics; it is not an `Exception`."""


class HuggingFaceTokenizer:
    """The tokenizer of a model's folder, GGUF file or checkpoint.

    Args:
        files: the files that contain the tokenizer.
        trust_remote_code: let the folder run its own code.
        prefix_token: the token put before a text without a context (as the vocabulary spells it, or its id),
            in place of the BOS token, else the EOS token.
    """

    def __init__(
        self, files: ModelFiles, *, trust_remote_code: bool = False, prefix_token: str | None = None
    ) -> None:
        self.files = files
        self._trust_remote_code = trust_remote_code
        self._prefix_token = prefix_token

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the tokenizer for the run log; empty before it is first used."""
        return self._loaded[1] if "_loaded" in self.__dict__ else ()

    def digest(self, *, verify: bool = False) -> str:
        """SHA-256 over everything that can change a token; `verify` reads every file again."""
        return tokenizer_digest(self.files, verify=verify)

    @property
    def _tokenizer(self) -> Any:
        return self._loaded[0]

    @functools.cached_property
    def _loaded(self) -> tuple[Any, tuple[str, ...]]:
        try:
            with quiet_transformers():
                notes: tuple[str, ...] = ()
                if self.files.gguf_file:
                    tokenizer = _read_gguf(self.files, self._trust_remote_code)
                else:
                    folder = tokenizer_folder(self.files)
                    tokenizer, notes = checked(_read(folder, self._trust_remote_code), folder)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(_unreadable(self.files, error, self._trust_remote_code)) from error
        # The caller handles texts longer than the context window; transformers would warn about them.
        tokenizer.model_max_length = 10**30
        return tokenizer, notes

    @property
    def size(self) -> int:
        """Number of tokens, added ones included."""
        return len(self._tokenizer)

    @property
    def bos_id(self) -> int | None:
        """Id of the token that begins a sequence (BOS), if there is one."""
        token: int | None = self._tokenizer.bos_token_id
        return token

    @property
    def eos_id(self) -> int | None:
        """Id of the token that ends a sequence (EOS), if there is one."""
        token: int | None = self._tokenizer.eos_token_id
        return token

    @property
    def bos_text(self) -> str:
        """Spelling of the BOS token; empty if there is none."""
        return self._tokenizer.bos_token or ""

    @functools.cached_property
    def prefix_id(self) -> int | None:
        """Id of the token before a text without a context; raises ModelError if `prefix_token` is unknown."""
        if self._prefix_token is None:
            return self.eos_id if self.bos_id is None else self.bos_id
        size, named = len(self._tokenizer), self._prefix_token
        found = int(named) if named.isdecimal() else self._tokenizer.get_vocab().get(named)
        if found is None or found >= size:
            raise ModelError(
                f"--prefix-token {named}: the tokenizer of '{self.files.name}' has no such token; "
                f"give a token as its vocabulary spells it, or an id from 0 to {size - 1}."
            )
        return found

    def encode(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[int]]:
        """Token ids of each text; with `special_tokens`, the tokenizer adds its default special tokens.

        Raises:
            ValueError: the tokenizer cannot read one of the texts.
        """
        tokenizer, ids = self._tokenizer, []
        try:
            for start in range(0, len(texts), TEXTS_PER_CALL):
                chunk = list(texts[start : start + TEXTS_PER_CALL])
                encoded = tokenizer(chunk, add_special_tokens=special_tokens, return_attention_mask=False)
                ids.extend(encoded["input_ids"])
        except BaseException as error:  # Boundary: a tokenizer may be third-party code.
            if not isinstance(error, Exception) and type(error).__name__ != PANIC:
                raise
            reason = next(iter(str(error).splitlines()), "")[:200]
            raise ValueError(
                f"The tokenizer cannot read the text ({type(error).__name__}: {reason})"
            ) from error
        return ids

    def offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]] | None:
        """Token ids without special tokens, and the characters (start, end) of each; None if unknown.

        Only transformers' fast tokenizers know them.
        """
        if not getattr(self._tokenizer, "is_fast", False):
            return None
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return encoded["input_ids"], encoded["offset_mapping"]

    def decode(
        self, ids: Sequence[int] | TokenIds, *, special_tokens: bool = False, clean_up: bool = False
    ) -> str:
        """Text of the ids with the tokens' own spaces; `clean_up` applies the tokenizer's own clean-up."""
        text: str = self._tokenizer.decode(
            list(ids),
            skip_special_tokens=not special_tokens,
            clean_up_tokenization_spaces=None if clean_up else False,
        )
        return text

    @functools.cached_property
    def special_texts(self) -> Mapping[int, str]:
        """Spellings of the special tokens, by id: the tokens that `decode` leaves out."""
        tokenizer = self._tokenizer
        known = getattr(tokenizer, "added_tokens_decoder", {})  # mistral-common's tokenizer lacks it
        added = {token_id: str(token) for token_id, token in known.items() if token.special}
        return {**dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)), **added}

    def token_text(self, token: int) -> str:
        """One token for people to read: its text with its leading space.

        A special token or a part of a character is shown by its name in the vocabulary.
        """
        piece = self._tokenizer.convert_ids_to_tokens(token)
        text = self.decode([token], special_tokens=True)
        if not isinstance(piece, str):
            return text
        if piece.startswith("▁") and not text.startswith(" "):  # Decoders strip a text's leading space.
            return f" {text}"
        return piece if not text or "\ufffd" in text else text


def _read_gguf(files: ModelFiles, trust_remote_code: bool) -> Any:
    """The tokenizer of a GGUF file, from a kept copy if the copy reads back as the same tokenizer."""
    from transformers import AutoTokenizer

    # transformers also reads a tokenizer's settings beside the file, which a copy's name does not cover.
    alone = not any(files.folder.glob("*.json"))
    if alone and (folder := whole_copy(files, PART)):
        with suppress(Exception):
            return _read(folder, False)
        drop_copy(files, PART)
    speed_up_gguf()
    tokenizer = AutoTokenizer.from_pretrained(
        files.folder,
        gguf_file=files.gguf_file,
        trust_remote_code=trust_remote_code,
        local_files_only=True,
    )

    def write(folder: Path) -> None:
        tokenizer.save_pretrained(folder)
        if _content(_read(folder, False)) != _content(tokenizer):
            raise ModelError("the tokenizer's copy is not the same tokenizer")

    if alone:
        keep_copy(files, PART, TOKENIZER_BYTES, write)
    return tokenizer


def _content(tokenizer: Any) -> list[Any]:
    """Everything in a tokenizer on which token ids and texts depend."""
    added = {token: str(text) for token, text in tokenizer.added_tokens_decoder.items()}
    named = (tokenizer.special_tokens_map, tokenizer.bos_token_id, tokenizer.eos_token_id)
    clean_up = tokenizer.clean_up_tokenization_spaces
    return [type(tokenizer), tokenizer.backend_tokenizer.to_str(), added, *named, clean_up]


def _read(folder: Path, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": True}
    if (folder / TEKKEN).is_file():
        # By default, the installed packages decide which of the two files transformers reads.
        options["mistral_format"] = not (folder / "tokenizer.json").is_file()
    return AutoTokenizer.from_pretrained(folder, **options)


def _unreadable(files: ModelFiles, error: Exception, trusted: bool) -> str:
    if isinstance(error, ImportError) and files.is_hf_folder and (files.folder / TEKKEN).is_file():
        return (
            f"The tokenizer of model '{files.name}' is {TEKKEN}, which the package mistral-common reads: "
            "pip install mistral-common, or name a tokenizer with --tokenizer."
        )
    first_line = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".:")
    hint = ""
    if files.is_hf_folder and has_own_tokenizer_code(files) and not trusted:
        hint = " Its folder contains its own code: allow it with --trust-remote-code."
    return f"The tokenizer of model '{files.name}' cannot be read from {files.folder}: {first_line}.{hint}"
