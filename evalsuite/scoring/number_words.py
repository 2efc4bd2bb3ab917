"""Converts number words of a sentence to digits: "twenty-five" to 25."""

import re

_UNITS = [
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
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = {word: place for place, word in enumerate(_UNITS)} | {
    word: 10 * place for place, word in enumerate(_TENS, start=2)
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_WORD = "|".join((*_VALUES, *_SCALES))
_SPELLED = re.compile(rf"\b(?:{_WORD})(?:(?:[ -]|,? and )(?:{_WORD}))*\b", re.IGNORECASE)


def as_digits(sentence: str) -> str:
    """The sentence with number words as digits; use it only without digits, since "one" becomes a number."""
    return _SPELLED.sub(_digits, sentence)


def _digits(match: re.Match[str]) -> str:
    """The digits of number words; words that form no number ("two three") are kept."""
    words = [word for word in re.findall(r"[a-z]+", match.group().lower()) if word != "and"]
    total, group, last = 0, 0, 10**12
    for word in words:
        if scale := _SCALES.get(word):
            group = max(group, 1) * scale
            if scale > 100:
                total, group = total + group, 0
            last = scale
            continue
        value = _VALUES[word]
        if value >= (10 if 20 <= last < 100 else last if last >= 100 else 0):
            return match.group()
        group, last = group + value, value
    return str(total + group)
