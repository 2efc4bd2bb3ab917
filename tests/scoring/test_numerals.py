"""Numerals have the value that a person reads, or none."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.scoring.number_words import as_digits
from evalsuite.scoring.numerals import numeral, plain, tokens


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", "18"),
        ("0018", "18"),
        ("18.50", "37/2"),
        (".5", "1/2"),
        ("1,000", "1000"),
        ("1.000", "1"),
        ("1.000.000", "1000000"),
        ("1.000,5", "2001/2"),
        ("1'000", "1000"),
        ("1 000.5", "2001/2"),
        ("1,5", None),
        ("1,50", None),
        ("1,0000", None),
        ("1000,000", None),
        ("1:30", None),
        ("1.2.3", None),
        ("9" * 500, None),
    ],
)
def test_a_numeral_has_one_reading_or_none(text, value):
    assert numeral(text) == (None if value is None else Fraction(value))


def test_what_is_no_numeral_is_never_read_as_its_beginning():
    assert [token.kind for token in tokens(plain("at 3:30"))] == ["word", "bad"]
    assert [token.kind for token in tokens(plain("H2"))] == ["word", "bad"]
    assert [token.kind for token in tokens(plain("18x"))] == ["number", "bad"]


@pytest.mark.parametrize(
    ("words", "digits"),
    [
        ("eighteen dollars", "18 dollars"),
        ("Twenty-five", "25"),
        ("one hundred and five", "105"),
        ("two thousand three hundred forty", "2340"),
        ("three million", "3000000"),
        ("two three", "two three"),
        ("twenty twelve", "twenty twelve"),
        ("someone", "someone"),
    ],
)
def test_numbers_in_words_become_digits(words, digits):
    assert as_digits(words) == digits


def _words(value: int) -> str:
    """A spelling of our own, to be read back."""
    ones = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ]
    tens = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    for size, name in ((10**6, "million"), (10**3, "thousand"), (100, "hundred")):
        if value >= size:
            rest = value % size
            return f"{_words(value // size)} {name}" + (f" {_words(rest)}" if rest else "")
    if value < 20:
        return ones[value]
    return tens[value // 10] + (f"-{ones[value % 10]}" if value % 10 else "")


@given(st.integers(0, 10**9 - 1))
def test_a_number_in_words_reads_back_as_itself(value):
    assert as_digits(_words(value)) == str(value)
