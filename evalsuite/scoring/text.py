"""Extracts answers from generated text, and compares them by exact match."""

import re
import string
import unicodedata
from collections.abc import Sequence

from evalsuite.prompting.spec import AnswerComparison, Extraction

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def extract(
    text: str, extraction: Extraction | None, member: str = "", options: Sequence[str] = ()
) -> str | None:
    """The answer in `text`; without an extraction the whole text, stripped; None if nothing matches.

    `options` are the choices of the question, by which an extraction may find the answer.
    """
    if extraction is None:
        return text.strip()
    for pattern in extraction.member_patterns.get(member, extraction.patterns):
        matches = list(re.finditer(pattern, text))
        if matches:
            match = matches[0 if extraction.take == "first" else -1]
            groups = [group for group in match.groups() if group is not None]
            return (groups[0] if groups else match.group()).strip()
    named = letter_of_option(text, options) if extraction.options and options else None
    return extraction.otherwise if named is None else named


def letter_of_option(text: str, options: Sequence[str]) -> str | None:
    """The letter of the option that `text` mentions last, else the letter after its last colon, or None.

    Filter `multi_choice_regex` of nvidia-lm-eval 26.3 (`lm_eval/filters/extraction.py`), with its quirks: at
    each place the first option that matches counts, of equal options the last one gives the letter, and an
    option that ends in a blank once its punctuation is gone gives itself in place of a letter.
    """
    letters = string.ascii_uppercase[: len(options)]
    by_text = {_plain(option.strip()): letter for option, letter in zip(options, letters, strict=True)}
    pattern = "|".join(re.escape(_plain(option.strip())) for option in options)
    mentioned: list[str] = re.findall(pattern, _plain(text))
    if mentioned and (last := mentioned[-1].strip()):
        return by_text.get(last, last)
    after_colon: list[str] = re.findall(rf":\s*([{letters}])", text)
    return after_colon[-1] if after_colon else None


def _plain(text: str) -> str:
    """Lower case, without the characters of Unicode's punctuation classes."""
    return "".join(one for one in text.lower() if not unicodedata.category(one).startswith("P"))


def exact_match(answer: str | None, gold: Sequence[str], comparison: AnswerComparison) -> bool:
    """Whether `answer` equals one of the gold forms after normalization."""
    if answer is None:
        return False
    return any(_reduced(answer, comparison) == _reduced(form, comparison) for form in gold)


def _reduced(text: str, comparison: AnswerComparison) -> str:
    for pattern in comparison.ignore:
        text = re.sub(pattern, "", text)
    if comparison.ignore_case:
        text = text.lower()
    return text.translate(_PUNCTUATION) if comparison.ignore_punctuation else text
