from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.decisions.compare.attribution import TokenBits, attribute

TEXTS = st.text("ab é🦤\n", min_size=1, max_size=12)


def tokens_of(text, marks):
    """Tokens of a text whose bits are exact fractions.

    Each mark is of one character: 0 joins the token before, 1 begins one, 2 after a token without bytes.
    """
    sizes = []
    for sign, mark in zip(text, marks, strict=False):
        sizes += [0] * (mark == 2)
        if mark or not sizes:
            sizes.append(0)
        sizes[-1] += len(sign.encode())
    return TokenBits([Fraction(place * 7919 % 1000, 1000) for place in range(len(sizes))], sizes)


MARKS = st.lists(st.integers(0, 2), min_size=12, max_size=12)


@given(TEXTS, MARKS, MARKS)
def test_parts_sum_exactly_to_the_difference_of_the_whole(text, marks, other_marks):
    one, other = tokens_of(text, marks), tokens_of(text, other_marks)
    parts = attribute(text, one, other)
    assert "".join(part.text for part in parts) == text
    assert [part.size for part in parts] == [len(part.text.encode()) for part in parts]
    assert sum(part.baseline for part in parts) == sum(one.bits)
    assert sum(part.candidate for part in parts) == sum(other.bits)
    assert sum(part.difference for part in parts) == sum(other.bits) - sum(one.bits)


def test_a_token_s_bits_are_spread_over_its_bytes():
    whole, halves = TokenBits([12.0], [4]), TokenBits([1.0, 9.0], [2, 2])
    [left, right] = attribute("abcd", whole, halves)
    assert (left.text, left.baseline, left.candidate) == ("ab", 6.0, 1.0)
    assert (right.text, right.difference) == ("cd", 3.0)


def test_a_token_without_bytes_belongs_to_the_one_before_and_bos_to_the_first():
    found = attribute("éa", TokenBits([1.0, 2.0, 4.0, 8.0], [0, 2, 0, 1]), TokenBits([5.0], [3]))
    assert [(part.text, part.baseline) for part in found] == [("é", 7.0), ("a", 8.0)]


def test_tokens_of_another_text_are_refused():
    with pytest.raises(ValueError, match="do not sum"):
        attribute("abc", TokenBits([1.0], [3]), TokenBits([1.0], [2]))
