"""Divides the difference of two models on a text among its bytes, whatever their tokenizers.

A token's bits are spread evenly over its bytes, so that the parts of a text sum to the text's difference. The
text is cut wherever a token of either model ends.

Public names: `TextPart`, `TokenBits`, `attribute`, `token_bits`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenBits:
    """A text's tokens by one model."""

    bits: Sequence[float]
    """Minus log2 of each token's probability."""
    sizes: Sequence[int]
    """UTF-8 bytes of each token, as in the samples' column `token_bytes`."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part of a text that lies within one token of each model."""

    text: str
    size: int
    """UTF-8 bytes."""
    baseline: float
    """Bits of the baseline."""
    candidate: float

    @property
    def difference(self) -> float:
        """Bits, candidate minus baseline: negative where the candidate finds the text cheaper."""
        return self.candidate - self.baseline


def token_bits(log_probs: Sequence[float], sizes: Sequence[int]) -> TokenBits:
    """The tokens of a samples row, from natural-log probabilities."""
    return TokenBits([-nats / math.log(2) for nats in log_probs], sizes)


def attribute(text: str, baseline: TokenBits, candidate: TokenBits) -> list[TextPart]:
    """The parts of `text` in order; the sums of their bits are those of the tokens.

    A token without bytes of its own belongs to the token before it, at the beginning to the first with bytes.

    Raises:
        ValueError: the tokens' bytes are not those of the text.
    """
    encoded = text.encode()
    first, second = _segments(baseline), _segments(candidate)
    for segments in (first, second):
        if (segments[-1][0] if segments else 0) != len(encoded):
            raise ValueError("the tokens' bytes do not sum to those of the text")
    ends = sorted({end for end, _ in first} | {end for end, _ in second})
    shares = zip(_shares(first, ends), _shares(second, ends), strict=True)
    starts = [0, *ends[:-1]]
    return [
        TextPart(encoded[start:end].decode("utf-8", "replace"), end - start, one, other)
        for start, end, (one, other) in zip(starts, ends, shares, strict=True)
    ]


def _segments(tokens: TokenBits) -> list[tuple[int, float]]:
    """(end in bytes, bits) of the tokens, those without bytes united with a neighbour."""
    segments: list[tuple[int, float]] = []
    end, waiting = 0, 0.0
    for bits, size in zip(tokens.bits, tokens.sizes, strict=True):
        end += size
        if size:
            segments.append((end, bits + waiting if waiting else bits))
            waiting = 0.0
        elif segments:
            segments[-1] = (segments[-1][0], segments[-1][1] + bits)
        else:
            waiting = waiting + bits
    return segments


def _shares(segments: Sequence[tuple[int, float]], ends: Sequence[int]) -> Iterator[float]:
    """Bits up to each of `ends` from the one before; no part reaches into two segments."""
    start = place = 0
    position = 0
    for end in ends:
        whole = segments[place][0] - start
        yield segments[place][1] * (end - position) / whole
        position = end
        if end == segments[place][0]:
            start, place = end, place + 1
