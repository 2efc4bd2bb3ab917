"""Extracts answers from generated text, and compares them by exact match."""

import re
import string
from collections.abc import Sequence

from evalsuite.prompting.spec import AnswerComparison, Extraction

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def extract(text: str, extraction: Extraction | None, member: str = "") -> str | None:
    """The answer in `text`; without an extraction the whole text, stripped; None if nothing matches."""
    if extraction is None:
        return text.strip()
    for pattern in extraction.member_patterns.get(member, extraction.patterns):
        matches = list(re.finditer(pattern, text))
        if matches:
            match = matches[0 if extraction.take == "first" else -1]
            groups = [group for group in match.groups() if group is not None]
            return (groups[0] if groups else match.group()).strip()
    return extraction.otherwise


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
