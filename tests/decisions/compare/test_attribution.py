from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.decisions.compare.attribution import TokenBits, attribute

TEXTS = st.text("ab é🦤\n", min_size=1, max_size=12)


@st.composite
def cut_into_tokens(draw, text):
    """Tokens of some characters each, some of none; their bits are exact fractions."""
    sizes, left = [], text
    while left:
        count = draw(st.sampled_from([1, 2, 3, 5, 0]))
        sizes.append(len(left[:count].encode()))
        left = left[count:]
    bits = [Fraction(place * 7919 % 1000 + draw(st.integers(0, 9)), 1000) for place in range(len(sizes))]
    return TokenBits(bits, sizes)


@given(st.data(), TEXTS)
def test_parts_sum_exactly_to_the_difference_of_the_whole(data, text):
    one, other = (data.draw(cut_into_tokens(text)) for _ in range(2))
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
