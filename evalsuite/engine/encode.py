"""Text to token ids of requests; the rule of lm-eval 0.4.13 (`api/model.py`, `_encode_pair`).

Context and continuation are encoded together and the context alone once more; what the whole
has beyond the context's length is the continuation. Trailing whitespace of the context moves
to the continuation first, because most tokenizers join a blank with the word after it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalsuite.engine.pieces import CHECKED, PieceEncoder
from evalsuite.engine.protocol import Tokenizer
from evalsuite.errors import ModelError
from evalsuite.types import Bos, ScoreRequest, TokenIds


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request, and what was unusual about its text; the run log counts the flags."""

    request: ScoreRequest
    joined: bool = False
    """A token spans the join: the context's own tokens are not a prefix of the whole's."""
    swallowed: bool = False
    """The slice left no continuation, so the last token of the whole stands for it."""


def encode_pairs(tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], bos: Bos) -> list[Encoded]:
    """Encode (context, continuation) pairs; what texts share is encoded once.

    Requests of one context share one tuple of its ids. An empty context becomes the BOS token,
    else the EOS token (as lm-eval does).

    Raises:
        ValueError: a continuation is empty, or encodes to no token.
        ModelError: `bos` or an empty context needs a token that the tokenizer lacks.
    """
    for context, continuation in pairs:
        if not continuation:
            raise ValueError(f"Empty continuation after the context that ends in {context[-40:]!r}.")
    moved = [_move_trailing_space(context, continuation) for context, continuation in pairs]
    contexts = _encode_texts(tokenizer, [context for context, _ in moved if context], bos)
    apart = _apart(tokenizer, [pair for pair in moved if pair[0]], contexts, bos)
    wholes = _encode_texts(tokenizer, ["".join(pair) for pair in moved if pair[0] and pair not in apart], bos)
    bare = _encode_texts(tokenizer, [continuation for context, continuation in moved if not context], "never")
    return [
        _after_nothing(tokenizer, continuation, bare[continuation])
        if not context
        else Encoded(ScoreRequest(contexts[context], apart[context, continuation]))
        if (context, continuation) in apart
        else _split(tokenizer, contexts[context], wholes[context + continuation])
        for context, continuation in moved
    ]


def _apart(
    tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], contexts: dict[str, TokenIds], bos: Bos
) -> dict[tuple[str, str], TokenIds]:
    """Continuations whose ids do not depend on their context; of none if a sample says otherwise."""
    apart = {pair: ids for pair, ids in PieceEncoder(tokenizer).encode_joined(pairs).items() if ids}
    known = list(apart)
    some = known[:: max(1, len(known) // CHECKED)]
    wholes = _encode_texts(tokenizer, ["".join(pair) for pair in some], bos)
    agree = all(wholes["".join(pair)] == contexts[pair[0]] + apart[pair] for pair in some)
    return apart if agree else {}


def encode_last_tokens(tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], bos: Bos) -> list[Encoded]:
    """Encode each context alone; a continuation is the last token of its own encoding.

    The rule of MMLU's first implementation (hendrycks/test, evaluate_hf.py): `tokenizer("A").input_ids[-1]`, which is
    the letter with a blank before it for SentencePiece tokenizers and without one for byte-level BPE.

    Raises:
        ValueError: a continuation is empty, or encodes to no token.
        ModelError: as in `encode_pairs`.
    """
    contexts = encode_contexts(tokenizer, [context for context, _ in pairs], bos)
    ids = _encode_texts(tokenizer, [continuation for _, continuation in pairs if continuation], "never")
    empty = [text for _, text in pairs if not ids.get(text)]
    if empty:
        raise ValueError(f"The continuation {empty[0]!r} encodes to no token.")
    return [
        Encoded(ScoreRequest(context, ids[continuation][-1:]))
        for context, (_, continuation) in zip(contexts, pairs, strict=True)
    ]


def encode_contexts(tokenizer: Tokenizer, texts: Sequence[str], bos: Bos) -> list[TokenIds]:
    """Encode contexts to generate after; equal texts share one tuple, an empty one is BOS, else EOS.

    Raises:
        ModelError: as in `encode_pairs`.
    """
    ids = _encode_texts(tokenizer, [text for text in texts if text], bos)
    return [ids[text] if text else (_prefix_id(tokenizer),) for text in texts]


def encode_rolling(
    tokenizer: Tokenizer, texts: Sequence[str], bos: Bos, window: int | None
) -> list[list[Encoded]]:
    """Requests that together score every token of each text once, the first after the prefix token.

    The rule of lm-eval 0.4.13 (`utils.py`, `get_rolling_token_windows` with a context of one token): windows of
    `window` tokens one after another, each of which sees one token before it; the last, shorter one sees as many
    tokens as the window has room for.

    Raises:
        ValueError: a text encodes to no token.
        ModelError: as in `encode_pairs`.
    """
    ids = _encode_texts(tokenizer, [text for text in texts if text], bos)
    return [[Encoded(one) for one in _windows(tokenizer, ids.get(text, ()), window)] for text in texts]


def _windows(tokenizer: Tokenizer, ids: TokenIds, window: int | None) -> list[ScoreRequest]:
    if not ids:
        raise ValueError("A text that is to be scored as a whole encodes to no token.")
    size = min(window or len(ids), len(ids))
    shown = (
        _prefix_id(tokenizer),
        *ids,
    )  # The token at `start` in it stands before token `start` of the text.
    requests = [ScoreRequest(shown[:1], ids[:size])]
    for start in range(size, len(ids), size):
        end = min(start + size, len(ids))
        requests.append(ScoreRequest(shown[end - size : start + 1], ids[start:end]))
    return requests


def _move_trailing_space(context: str, continuation: str) -> tuple[str, str]:
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def _split(tokenizer: Tokenizer, context: TokenIds, whole: TokenIds) -> Encoded:
    continuation = whole[len(context) :]
    joined = whole[: len(context)] != context
    if continuation and context:
        return Encoded(ScoreRequest(context, continuation), joined=joined)
    if not whole:
        raise ValueError("A context and its continuation encode to no token.")
    return Encoded(
        ScoreRequest(whole[:-1] or (_prefix_id(tokenizer),), whole[-1:]), joined=joined, swallowed=True
    )


def _after_nothing(tokenizer: Tokenizer, text: str, ids: TokenIds) -> Encoded:
    """Continuation without a context: after the prefix token, which is not doubled (as lm-eval)."""
    if not ids:
        raise ValueError(f"The continuation {text!r} encodes to no token.")
    prefix = _prefix_id(tokenizer)
    if ids[0] == prefix and len(ids) > 1:
        return Encoded(ScoreRequest(ids[:1], ids[1:]))
    return Encoded(ScoreRequest((prefix,), ids))


def _prefix_id(tokenizer: Tokenizer) -> int:
    prefix = tokenizer.eos_id if tokenizer.bos_id is None else tokenizer.bos_id
    if prefix is None:
        raise ModelError("An empty context needs a BOS or EOS token, and this tokenizer has neither.")
    return prefix


def _encode_texts(tokenizer: Tokenizer, texts: Iterable[str], bos: Bos) -> dict[str, TokenIds]:
    """Token ids by text; what texts share is encoded once."""
    ordered = list(dict.fromkeys(texts))
    encoded = PieceEncoder(tokenizer).encode(ordered)
    begin = _forced_bos(tokenizer) if bos == "always" else ()
    added = [text for text in ordered if bos == "tokenizer" and not _starts_with_bos(tokenizer, text)]
    if added:
        encoded |= _with_special_tokens(tokenizer, added, encoded)
    return {text: row if row[: len(begin)] == begin else begin + row for text, row in encoded.items()}


def _with_special_tokens(
    tokenizer: Tokenizer, texts: Sequence[str], plain: dict[str, TokenIds]
) -> dict[str, TokenIds]:
    """The ids with what the tokenizer adds by default, which is the same tokens before and after any text."""
    shortest = min(texts, key=len)
    bare, whole = plain[shortest], tuple(tokenizer.encode([shortest], special_tokens=True)[0])
    before = next((n for n in range(len(whole)) if whole[n : n + len(bare)] == bare), None)
    if before is None or not bare:
        ids = tokenizer.encode(texts, special_tokens=True)
        return {text: tuple(row) for text, row in zip(texts, ids, strict=True)}
    after = whole[before + len(bare) :]
    return {text: whole[:before] + plain[text] + after for text in texts}


def _forced_bos(tokenizer: Tokenizer) -> TokenIds:
    if tokenizer.bos_id is None:
        raise ModelError("This prompt begins with a BOS token, and the tokenizer has none.")
    return (tokenizer.bos_id,)


def _starts_with_bos(tokenizer: Tokenizer, text: str) -> bool:
    return bool(tokenizer.bos_text) and text.startswith(tokenizer.bos_text)
