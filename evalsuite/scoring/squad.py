"""SQuAD-style exact match and F1 of free answers, by language.

The rules are those of lm-eval 0.4.13 for TyDiQA-GoldP (tasks/tydiqa/utils.py), which follows the evaluation
script of MLQA (Lewis et al. 2020, arXiv:1910.07475).
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

_ARTICLES = {"en": r"\b(?:a|an|the)\b", "ar": r"(?:^|\s)ال"}
"""Patterns of articles by language; other languages have none."""


def squad_exact_match(answer: str, gold: Sequence[str], language: str) -> float:
    """1 if `answer` equals an accepted form after normalization."""
    found = words(answer, language)
    return float(any(found == words(form, language) for form in gold))


def squad_f1(answer: str, gold: Sequence[str], language: str) -> float:
    """Harmonic mean of precision and recall over words, for the accepted form with the highest value."""
    found = words(answer, language)
    return max(_f1(found, words(form, language)) for form in gold)


def words(text: str, language: str) -> list[str]:
    """The words of `text` in lower case, without punctuation (Unicode's, and all of ASCII's) and articles."""
    kept = "".join(character for character in text.lower() if not _is_punctuation(character))
    articles = _ARTICLES.get(language)
    return (re.sub(articles, " ", kept) if articles else kept).split()


def _f1(answer: Sequence[str], gold: Sequence[str]) -> float:
    shared = (Counter(answer) & Counter(gold)).total()
    if not shared:
        return 0.0
    precision, recall = shared / len(answer), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")
