"""Finds the quantities in a part of a sentence, and evaluates its arithmetic exactly."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from evalsuite.scoring.numerals import Token

LARGEST_BITS = 20_000
"""Largest size of a power's value; a larger value cannot be the answer of a word problem."""
_DEEPEST = 30
"""Deepest nesting of brackets."""
_QUALIFYING = frozenset(
    ["for", "per", "in", "of", "after", "every", "each", "at", "within", "during", "among", "on", "outside"]
)
"""Words that mark the next number as a circumstance: "18 dollars for 2 weeks"."""
_DENYING = frozenset(["not", "isn't", "aren't", "never", "cannot"])


class NoReading(ValueError):
    """A part of a sentence that is ambiguous or has no number."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in a sentence, with its arithmetic evaluated."""

    value: Fraction
    before: tuple[str, ...]
    """The last words before it, at most three."""
    computed: bool = False
    """Whether the value is computed from several numbers."""

    @property
    def qualified(self) -> bool:
        """Whether the number is a circumstance of the statement."""
        nearest = self.before[-1:] if self.before[-1:] not in (("the",), ("all",)) else self.before[-2:-1]
        return bool(_QUALIFYING.intersection(nearest))

    @property
    def compared(self) -> bool:
        """Whether something is compared with the number: "than 18"."""
        return "than" in self.before[-2:]

    @property
    def denied(self) -> bool:
        """Whether the sentence says that the answer is not this number."""
        return bool(_DENYING.intersection(self.before[-2:]))


def quantities(side: list[Token]) -> list[Quantity]:
    """The quantities of a part without equals signs, in order; raises NoReading."""
    side = list(_without_units(side))
    found: list[Quantity] = []
    words: list[str] = []
    place = 0
    shares = False
    while place < len(side):
        token = side[place]
        if token.kind == "bad":
            raise NoReading(token.text)
        if token.kind == "number" or (token.kind == "operator" and _opens(side, place)):
            value, end = _sum(side, place, 0)
            if shares and "of" in words[-2:]:
                raise NoReading("a share of a number")
            found.append(Quantity(value, tuple(words[-3:]), end - place > 2))
            shares = value.denominator != 1 or (end < len(side) and side[end].kind == "percent")
            words, place = [], end
        else:
            if token.kind == "word":
                words.append(token.text)
            place += 1
    return found


def _without_units(side: list[Token]) -> Iterator[Token]:
    """The tokens without words between a number and the next operator: "16 eggs - 3 eggs"."""
    held: list[Token] = []
    after_value = False
    for place, token in enumerate(side):
        if after_value and token.kind in ("word", "percent"):
            held.append(token)
            continue
        binary = token.kind == "operator" and token.text in "+-*/" and _opens(side, place + 1)
        if not (binary and not token.tight and all(one.kind == "word" for one in held)):
            yield from held
        held = []
        after_value = token.kind == "number" or (token.kind == "operator" and token.text == ")")
        yield token
    yield from held


def _opens(side: list[Token], place: int) -> bool:
    """Whether an expression begins at index `place`: a number, a bracket or a sign."""
    while place < len(side) and side[place].kind == "operator" and side[place].text in "+-(":
        place += 1
    return place < len(side) and side[place].kind == "number"


def _is(side: list[Token], place: int, operators: str) -> bool:
    return place < len(side) and side[place].kind == "operator" and side[place].text in operators


def _sum(side: list[Token], place: int, depth: int) -> tuple[Fraction, int]:
    if depth > _DEEPEST:
        raise NoReading("too many brackets")
    value, place = _product(side, place, depth)
    while _is(side, place, "+-") and _opens(side, place + 1):
        sign, start = side[place], place + 1
        other, place = _product(side, start, depth)
        if sign.text == "-" and sign.tight and side[start].tight and value < other:
            raise NoReading("a range, or a difference")
        value = value + other if sign.text == "+" else value - other
    return value, place


def _product(side: list[Token], place: int, depth: int) -> tuple[Fraction, int]:
    value, place = _power(side, place, depth)
    while (_is(side, place, "*/") and _opens(side, place + 1)) or (
        _is(side, place, "(") and side[place].tight and _opens(side, place)
    ):
        divides = side[place].text == "/"
        other, place = _power(side, place + (side[place].text != "("), depth)
        if divides and other == 0:
            raise NoReading("a division by zero")
        value = value / other if divides else value * other
    return value, place


def _power(side: list[Token], place: int, depth: int) -> tuple[Fraction, int]:
    if _is(side, place, "+-"):
        value, end = _power(side, place + 1, depth + 1)
        return (-value if side[place].text == "-" else value), end
    value, place = _atom(side, place, depth)
    if _is(side, place, "^"):
        if not _opens(side, place + 1):
            raise NoReading("a power without an exponent")
        exponent, place = _power(side, place + 1, depth + 1)
        value = _raised(value, exponent)
    return value, place


def _raised(value: Fraction, exponent: Fraction) -> Fraction:
    bits = max(value.numerator.bit_length(), value.denominator.bit_length())
    if exponent.denominator != 1 or bits * abs(exponent) > LARGEST_BITS or (value == 0 and exponent <= 0):
        raise NoReading("a power that is too large for a word problem")
    return value ** int(exponent)


def _atom(side: list[Token], place: int, depth: int) -> tuple[Fraction, int]:
    if depth > _DEEPEST or place >= len(side):
        raise NoReading("too many brackets or signs")
    if side[place].kind == "number":
        return side[place].value, place + 1
    if _is(side, place, "("):
        value, place = _sum(side, place + 1, depth + 1)
        if not _is(side, place, ")"):
            raise NoReading("a bracket that does not close")
        return value, place + 1
    raise NoReading("no number")
