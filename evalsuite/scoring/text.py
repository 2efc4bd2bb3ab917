"""Verdicts on generated text: extraction and exact match."""

import re
from collections.abc import Sequence

from evalsuite.prompting.spec import Extraction


def extract(text: str, extraction: Extraction | None) -> str | None:
    """The answer in `text`: the whole text stripped without an extraction, None where nothing matches."""
    if extraction is None:
        return text.strip()
    for pattern in extraction.patterns:
        matches = list(re.finditer(pattern, text))
        if matches:
            match = matches[0 if extraction.take == "first" else -1]
            groups = [group for group in match.groups() if group is not None]
            return (groups[0] if groups else match.group()).strip()
    return None


def exact_match(answer: str | None, gold: Sequence[str], ignore: Sequence[str] = ()) -> bool:
    """`answer` equals one of the gold forms once the `ignore` patterns are removed from both."""
    if answer is None:
        return False
    return any(_reduced(answer, ignore) == _reduced(form, ignore) for form in gold)


def _reduced(text: str, ignore: Sequence[str]) -> str:
    for pattern in ignore:
        text = re.sub(pattern, "", text)
    return text
