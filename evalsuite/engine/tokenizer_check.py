"""Holds a tokenizer against another implementation that reads the same folder's files, where there is one.

transformers makes a tokenizer of a SentencePiece model by rules of its own, which depend on the model's type;
Mistral's folders have the vocabulary in two formats. What differs is mended where the folder itself names the
right class, and told otherwise.
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
"""Leading and double blanks, line breaks, digits, other scripts, characters that are bytes, letters to be
normalised."""
SENTENCEPIECE_FILES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


def checked(tokenizer: Any, folder: Path) -> tuple[Any, tuple[str, ...]]:
    """The tokenizer to use and what a reader of its numbers must know.

    Args:
        tokenizer: what transformers made of the folder.
        folder: with the tokenizer's files.
    """
    if (folder / "tokenizer.json").is_file():
        return tokenizer, _beside_tekken(tokenizer, folder)
    path = next((folder / name for name in SENTENCEPIECE_FILES if (folder / name).is_file()), None)
    if path is None:
        return tokenizer, ()
    if importlib.util.find_spec("sentencepiece") is None:
        return tokenizer, (
            f"The tokenizer is made of {path.name} by transformers; it was not held against SentencePiece's own (pip "
            "install sentencepiece).",
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
            f"The tokenizer is a {type(named).__name__}, as the folder's tokenizer_config.json says: transformers' own "
            f"choice for this type of model, {type(tokenizer).__name__}, reads {path.name} in another way than "
            f"SentencePiece does (for example {differing[0]!r})."
        )
        tokenizer, differing = named, left
    if differing:
        notes.append(
            f"transformers' {type(tokenizer).__name__} gives other tokens than SentencePiece does with {path.name}, for "
            f"{len(differing)} of {len(TEXTS)} texts that were tried (for example {differing[0]!r})."
        )
    return tokenizer, tuple(notes)


def _sentencepiece(path: Path) -> Callable[[str], list[str]] | None:
    """Pieces of a text by the package sentencepiece; None of a file of another kind (Mistral's tekken,
    tiktoken)."""
    import sentencepiece

    try:
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (RuntimeError, OSError, ValueError):
        return None
    return lambda text: model.encode(text, out_type=str)


def _differing(tokenizer: Any, pieces: Callable[[str], list[str]]) -> list[str]:
    """Texts that the two cut into other pieces; a piece that is not in the vocabulary has no name of its
    own."""
    unknown = tokenizer.unk_token
    return [text for text in TEXTS if not _same(_pieces(tokenizer, text), pieces(text), unknown)]


def _pieces(tokenizer: Any, text: str) -> list[str]:
    return tokenizer.convert_ids_to_tokens(tokenizer(text, add_special_tokens=False)["input_ids"])


def _same(ours: Sequence[str], theirs: Sequence[str], unknown: str | None) -> bool:
    return len(ours) == len(theirs) and all(
        one in (other, unknown) for one, other in zip(ours, theirs, strict=True)
    )


def _of_the_named_class(folder: Path) -> Any:
    """The tokenizer by the class that the folder names, which transformers passes over for some types of
    model."""
    import transformers

    try:
        name = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))["tokenizer_class"]
        kind = getattr(transformers, name.removesuffix("Fast"), None) or getattr(transformers, name)
        return kind.from_pretrained(folder, local_files_only=True)
    except (
        Exception
    ):  # Boundary: another reading of a folder that was read already; without it the note stays.
        return None


def _beside_tekken(tokenizer: Any, folder: Path) -> tuple[str, ...]:
    """Whether tokenizer.json, which is read, says the same as the tekken.json beside it."""
    if not (folder / "tekken.json").is_file():
        return ()
    if importlib.util.find_spec("mistral_common") is None:
        return (
            "Tokens are by tokenizer.json; the folder's tekken.json was not compared with it (pip install mistral-common).",
        )
    from transformers import AutoTokenizer

    try:
        other = AutoTokenizer.from_pretrained(folder, mistral_format=True, local_files_only=True)
        theirs = [other(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    except Exception as error:  # Boundary: mistral-common's own reading of a file that is not used here.
        return (
            f"Tokens are by tokenizer.json; the folder's tekken.json cannot be read ({type(error).__name__}).",
        )
    ours = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    differing = [text for text, one, two in zip(TEXTS, ours, theirs, strict=True) if one != two]
    if not differing:
        return ()
    return (
        f"Tokens are by tokenizer.json; the folder's tekken.json gives others for {len(differing)} of {len(TEXTS)} texts "
        f"that were tried (for example {differing[0]!r}).",
    )
