"""Divides the bytes of a text among its tokens."""

from collections.abc import Sequence

from evalsuite.engine.protocol import Tokenizer
from evalsuite.types import TokenIds


def token_bytes(tokenizer: Tokenizer, text: str, ids: TokenIds) -> tuple[int, ...]:
    """UTF-8 bytes of `text` that each of its tokens `ids` stands for; their sum is all of its bytes.

    Bytes that no token covers (dropped by a normalizer) belong to the next token, at the end to the last one.
    A token without bytes of its own (BOS, the second half of a character) has 0. If the tokenizer does not
    tell positions, or tokenizes otherwise alone, the first token has all bytes.

    Args:
        tokenizer: the tokenizer that encoded the text.
        text: the text; not empty.
        ids: its tokens, possibly after tokens that the tokenizer adds.
    """
    if not ids:
        return ()
    total = len(text.encode())
    found = tokenizer.offsets(text)
    if found is None:
        return (total, *[0] * (len(ids) - 1))
    own, spans = found
    added = len(ids) - len(own)
    if added < 0 or tuple(own) != ids[added:]:
        return (total, *[0] * (len(ids) - 1))
    ends = _byte_ends(text, [end for _, end in spans])
    ends[-1] = total
    return (*[0] * added, *_lengths(ends))


def _byte_ends(text: str, ends: Sequence[int]) -> list[int]:
    """Positions in characters as positions in bytes, never falling."""
    at = list(range(len(text) + 1))
    if not text.isascii():
        at, reached = [0], 0
        for sign in text:
            reached += len(sign.encode())
            at.append(reached)
    furthest, found = 0, []
    for end in ends:
        furthest = max(furthest, at[min(end, len(text))])
        found.append(furthest)
    return found


def _lengths(ends: Sequence[int]) -> list[int]:
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
