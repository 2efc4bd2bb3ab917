"""Compares a tokenizer with another implementation that reads the same folder's files, where there is one.

transformers converts a SentencePiece model by its own rules, which depend on the model's type; Mistral's
folders have the vocabulary in two formats. If the tokens differ, the tokenizer class that the folder names is
used if it agrees better; remaining differences are noted in the run log.
"""

import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

TEXTS = (
    "Answer: A",
    "A",
    " word",
    "word",
    "  two  spaces   three ",
    "\nline\n\n  indented\ttab",
    "1234567890 3.14159e-10",
    "The following are multiple choice questions (with answers) about  us foreign policy.\n\n",
    "def f(x):\n    return x",
    "naïve café Größe",
    "Привет, мир",
    "こんにちは世界。",
    "你好，世界",
    "😀👍🏽 \u200b\u00a0",
    "ﬁ ½ ＦＵＬＬ e\u0301",
    "a\r\nb",
)
"""Leading and double spaces, line breaks, digits, other scripts, byte-fallback characters, normalisation."""
SENTENCEPIECE_FILES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


def checked(tokenizer: Any, folder: Path) -> tuple[Any, tuple[str, ...]]:
    """The tokenizer to use, and notes on differences for the run log.

    Args:
        tokenizer: the tokenizer that transformers made from the folder.
        folder: the folder with the tokenizer's files.
    """
    if (folder / "tokenizer.json").is_file():
        return tokenizer, _beside_tekken(tokenizer, folder)
    path = next((folder / name for name in SENTENCEPIECE_FILES if (folder / name).is_file()), None)
    if path is None:
        return tokenizer, ()
    if importlib.util.find_spec("sentencepiece") is None:
        return tokenizer, (
            f"transformers made the tokenizer from {path.name}; it was not compared with SentencePiece's own "
            "(pip install sentencepiece).",
        )
    pieces = _sentencepiece(path)
    if pieces is None:
        return tokenizer, ()
    differing = _differing(tokenizer, pieces)
    if not differing:
        return tokenizer, ()
    named = _of_the_named_class(folder)
    left = differing if named is None else _differing(named, pieces)
    notes = []
    if named is not None and len(left) < len(differing):
        notes.append(
            f"The tokenizer is a {type(named).__name__}, as the folder's tokenizer_config.json says: "
            f"transformers' own choice for this type of model, {type(tokenizer).__name__}, reads {path.name} "
            f"differently from SentencePiece (for example {differing[0]!r})."
        )
        tokenizer, differing = named, left
    if differing:
        notes.append(
            f"transformers' {type(tokenizer).__name__} gives other tokens than SentencePiece does with "
            f"{path.name}, for {len(differing)} of {len(TEXTS)} texts (for example {differing[0]!r})."
        )
    return tokenizer, tuple(notes)


def _sentencepiece(path: Path) -> Callable[[str], list[str]] | None:
    """SentencePiece's function from a text to its pieces; None for another format (tekken, tiktoken)."""
    import sentencepiece

    try:
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError, ValueError):
        return None
    return lambda text: model.encode(text, out_type=str)


def _differing(tokenizer: Any, pieces: Callable[[str], list[str]]) -> list[str]:
    """Texts that the two implementations cut differently; an unknown piece matches the unknown token."""
    unknown = tokenizer.unk_token
    return [text for text in TEXTS if not _same(_pieces(tokenizer, text), pieces(text), unknown)]


def _pieces(tokenizer: Any, text: str) -> list[str]:
    pieces: list[str] = tokenizer.convert_ids_to_tokens(
        tokenizer(text, add_special_tokens=False)["input_ids"]
    )
    return pieces


def _same(ours: Sequence[str], theirs: Sequence[str], unknown: str | None) -> bool:
    return len(ours) == len(theirs) and all(
        our_piece in (their_piece, unknown) for our_piece, their_piece in zip(ours, theirs, strict=True)
    )


def _of_the_named_class(folder: Path) -> Any:
    """The tokenizer of the class that the folder names; transformers ignores it for some types of model."""
    import transformers

    try:
        name = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))["tokenizer_class"]
        kind = getattr(transformers, name.removesuffix("Fast"), None) or getattr(transformers, name)
        return kind.from_pretrained(folder, local_files_only=True)
    except Exception:  # Boundary: a second reading of the folder; if it fails, the note is kept.
        return None


def _beside_tekken(tokenizer: Any, folder: Path) -> tuple[str, ...]:
    """A note if tokenizer.json, which is used, was not compared with tekken.json or differs from it."""
    if not (folder / "tekken.json").is_file():
        return ()
    if importlib.util.find_spec("mistral_common") is None:
        return (
            "Tokens are by tokenizer.json; the folder's tekken.json was not compared with it "
            "(pip install mistral-common).",
        )
    from transformers import AutoTokenizer

    try:
        other = AutoTokenizer.from_pretrained(folder, mistral_format=True, local_files_only=True)
        theirs = [other(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    except Exception as error:  # Boundary: mistral-common reads a file that is not used here.
        return (
            "Tokens are by tokenizer.json; the folder's tekken.json cannot be read "
            f"({type(error).__name__}).",
        )
    ours = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    differing = [
        text for text, our_ids, their_ids in zip(TEXTS, ours, theirs, strict=True) if our_ids != their_ids
    ]
    if not differing:
        return ()
    return (
        "Tokens are by tokenizer.json; the folder's tekken.json gives others for "
        f"{len(differing)} of {len(TEXTS)} texts (for example {differing[0]!r}).",
    )
