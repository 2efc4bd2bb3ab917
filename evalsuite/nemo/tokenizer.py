"""Converts a SentencePiece model to a Hugging Face tokenizer that gives the same ids.

The ids are those of NeMo's `SentencePieceTokenizer.text_to_ids` (NeMo 1, `sentencepiece_tokenizer.py`): the
model's own encoding, without BOS, and without recognising special tokens in the text. The conversion is
tested on texts of many kinds before it is used.
"""

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalsuite.errors import ModelError
from evalsuite.nemo.archive import NemoArchive

SPACE = "▁"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Types of pieces (sentencepiece 0.2, `sentencepiece_model.proto`)."""
BPE = 2
MOST_SPACES = 2**16
"""Most leading spaces that a decoder strips."""

TRIED = (
    "",
    " ",
    "  two  spaces   three ",
    "\n",
    "\n\nA.\tB\r\n",
    "word",
    " word",
    "Answer: 42",
    "1234567890",
    "3.14159e-10",
    "The following are multiple choice questions (with answers) about  us foreign policy.\n\n",
    "def f(x):\n    return {'a': [x ** 2, -x]}  # <s> </s> <unk> <pad> <0x0A>\n",
    "a▁b",
    "ＦＵＬＬ　ｗｉｄｔｈ ﬁ ½ e\u0301",
    "naïve café Größe",
    "Привет, мир",
    "こんにちは世界。",
    "你好，世界",
    "안녕하세요",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते",
    "😀👍🏽 \u200b\u00a0\ufeff",
    "aaaaaaaaaa",
    "ababababab",
    "........ ---- ====",
    "\x00\x01\x7f",
    "x" * 300,
)
"""Texts for which the converted tokenizer must give SentencePiece's ids."""


def sentencepiece_model(archive: NemoArchive) -> Any:
    """The archive's SentencePiece model, ready for use (`sentencepiece.SentencePieceProcessor`).

    Raises:
        ModelError: the archive has no readable SentencePiece model, or the package sentencepiece is missing.
    """
    sentencepiece = _package("sentencepiece")
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=_content(archive))
    except (RuntimeError, ValueError):
        raise ModelError(f"Model archive {archive.path}: its SentencePiece model is not readable.") from None


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ModelError(
            "A .nemo archive needs the packages sentencepiece and protobuf: pip install 'evalsuite[nemo]'."
        ) from None


def _content(archive: NemoArchive) -> bytes:
    settings = archive.settings.get("tokenizer")
    settings = settings if isinstance(settings, dict) else {}
    library = settings.get("library", "sentencepiece")
    if library != "sentencepiece":
        raise ModelError(
            f"Model archive {archive.path} has a tokenizer of {library}; only sentencepiece's can be read."
        )
    named = str(settings.get("model") or "").removeprefix("nemo:").removeprefix("./")
    if named in archive.tokenizers:
        return archive.tokenizers[named]
    if len(archive.tokenizers) != 1:
        raise ModelError(f"Model archive {archive.path} has no tokenizer {named!r} in it.")
    return next(iter(archive.tokenizers.values()))


def write_tokenizer(archive: NemoArchive, folder: Path) -> None:
    """Write the tokenizer's files; `AutoTokenizer` reads them.

    Raises:
        ModelError: the tokenizer is missing, cannot be converted, or would give other ids.
        OSError: they cannot be written.
    """
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast  # it has no type hints
    model = sentencepiece_model(archive)
    backend = converted(model.serialized_model_proto(), str(archive.path))
    special = {
        f"{kind}_token": model.id_to_piece(number)
        for kind in ("bos", "eos", "unk", "pad")
        if (number := getattr(model, f"{kind}_id")()) >= 0
    }
    tokenizer = make(
        tokenizer_object=backend,
        # Text that spells a special token stays text, as in SentencePiece.
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        **special,
    )
    check_same(model, tokenizer, [*TRIED, *_pieces_in_text(model, backend)], str(archive.path))
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(model.serialized_model_proto())


def _pieces_in_text(model: Any, backend: Any) -> list[str]:
    """Every piece as text, and every user-defined symbol inside other text."""
    added = backend.get_added_tokens_decoder()
    plain = (model.id_to_piece(number) for number in range(model.get_piece_size()) if number not in added)
    symbols = (token.content.replace(SPACE, " ") for token in added.values() if not token.special)
    return [piece.replace(SPACE, " ") for piece in plain] + [f"a{symbol}b {symbol}" for symbol in symbols]


def check_same(model: Any, tokenizer: Any, texts: Sequence[str], name: str) -> None:
    """Raises ModelError if a converted tokenizer gives other ids than SentencePiece."""
    ids = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    for text, ours, theirs in zip(texts, ids, model.encode(list(texts)), strict=True):
        if ours != theirs:
            raise ModelError(
                f"The tokenizer of {name} cannot be converted: it would give other ids for {text!r}."
            )


def converted(proto: bytes, name: str) -> Any:
    """A `tokenizers.Tokenizer` with the ids of a SentencePiece BPE model.

    Raises:
        ModelError: the model is not BPE.
    """
    from tokenizers import AddedToken, Tokenizer, models

    content = _package("sentencepiece.sentencepiece_model_pb2").ModelProto()
    content.ParseFromString(proto)
    if content.trainer_spec.model_type != BPE:
        raise ModelError(
            f"The tokenizer of {name} is not of the kind BPE, the only one that can be converted."
        )
    vocabulary = {piece.piece: number for number, piece in enumerate(content.pieces)}
    backend = Tokenizer(
        models.BPE(
            vocabulary,
            _merges(content.pieces),
            unk_token=content.trainer_spec.unk_piece,
            fuse_unk=True,
            byte_fallback=content.trainer_spec.byte_fallback,
        )
    )
    # Symbols are matched in the normalised text, which has no spaces; one with a space never matches.
    symbols = [
        piece.piece for piece in content.pieces if piece.type == USER_DEFINED and " " not in piece.piece
    ]
    backend.normalizer = _normalizer(content.normalizer_spec, symbols)
    backend.decoder = _decoder(content.normalizer_spec)
    backend.add_tokens([AddedToken(symbol, normalized=True, special=False) for symbol in symbols])
    control = [piece.piece for piece in content.pieces if piece.type in (CONTROL, UNKNOWN)]
    backend.add_special_tokens([AddedToken(piece, normalized=False, special=True) for piece in control])
    return backend


def _merges(pieces: Sequence[Any]) -> list[tuple[str, str]]:
    """Pairs of pieces that make a piece, best score first, as SentencePiece merges them.

    Bytes, control tokens and symbols are never merged.
    """
    scores = {piece.piece: piece.score for piece in pieces if piece.type == NORMAL}
    pairs = [
        (-score, len(whole[:cut]), whole[:cut], whole[cut:])
        for whole, score in scores.items()
        for cut in range(1, len(whole))
        if whole[:cut] in scores and whole[cut:] in scores
    ]
    return [(left, right) for _, _, left, right in sorted(pairs)]


def _normalizer(spec: Any, symbols: Sequence[str]) -> Any:
    from tokenizers import Regex, normalizers

    steps: list[Any] = []
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(r"\A +"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        # The backend also normalises each symbol before it matches it, and a symbol must not get the prefix.
        # So a text that is exactly one symbol gets no prefix, either; SentencePiece adds one.
        any_symbol = "|".join(map(re.escape, symbols))
        steps.append(
            normalizers.Replace(Regex(rf"\A(?!(?:{any_symbol})\z)" if symbols else r"\A(?!\z)"), SPACE)
        )
    if spec.escape_whitespaces:
        steps.append(normalizers.Replace(" ", SPACE))
    if spec.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex(rf"[ {SPACE}]+\z"), ""))
    return normalizers.Sequence(steps)


def _decoder(spec: Any) -> Any:
    from tokenizers import decoders

    leading = MOST_SPACES if spec.remove_extra_whitespaces else int(spec.add_dummy_prefix)
    return decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", leading, 0),
        ]
    )
