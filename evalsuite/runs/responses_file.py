"""Reads a responses file: generated texts to grade, one JSON object per line.

A line is `{"doc": 0, "text": "..."}` or `{"doc": 0, "texts": ["...", "..."]}`, with `"gold"` if it has its
own gold answer. Lines may come in any order, and several lines may answer one document.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.errors import UserError

KEYS = ("doc", "text", "texts", "gold")


@dataclass(frozen=True, slots=True)
class ResponseLine:
    """One line of a responses file: the texts that answer one document."""

    number: int
    """Line number in the file, from 1."""
    doc: int | None
    """Index of the document in the evaluated split, over all member tasks; None if gold is given."""
    texts: tuple[str, ...]
    several: bool
    """Whether the line has `texts`, so that its verdicts are lists of any length."""
    gold: tuple[str, ...] = ()
    """Accepted answers in place of the document's; for MATH the text of the gold solution."""


def read_responses(path: Path) -> list[ResponseLine]:
    """The lines of a JSON Lines file, without empty lines.

    Raises:
        UserError: the file cannot be read, or a line is neither `{"doc": 0, "text": "..."}` nor
            `{"doc": 0, "texts": ["...", ...]}`, optionally with `"gold"`.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    responses = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                responses.append(_response(number, line))
            except ValueError as error:
                raise UserError(f"{path}, line {number}: {error}.") from error
    if not responses:
        raise UserError(f"{path} holds no responses.")
    return responses


def _response(number: int, line: str) -> ResponseLine:
    try:
        fields = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"this is not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError('a line must be an object such as {"doc": 0, "text": "..."}')
    if unknown := [key for key in fields if key not in KEYS]:
        raise ValueError(f"unknown key '{unknown[0]}'; the keys are {', '.join(KEYS)}")
    if ("text" in fields) == ("texts" in fields):
        raise ValueError("give either 'text' or 'texts'")
    texts = fields["texts"] if "texts" in fields else [fields["text"]]
    if not (isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)):
        raise ValueError("'text' must be a string, 'texts' a list of at least one string")
    doc, gold = fields.get("doc"), _gold(fields)
    if not (doc is None or (isinstance(doc, int) and not isinstance(doc, bool) and doc >= 0)):
        raise ValueError("'doc' must be the index of a document, a whole number from 0")
    if doc is None and not gold:
        raise ValueError(
            "'doc' is missing; give the index of the document that the text answers, or give 'gold'"
        )
    return ResponseLine(number, doc, tuple(texts), "texts" in fields, gold)


def _gold(fields: dict[str, Any]) -> tuple[str, ...]:
    if "gold" not in fields:
        return ()
    golds = fields["gold"] if isinstance(fields["gold"], list) else [fields["gold"]]
    if not golds or any(isinstance(gold, bool) or not isinstance(gold, str | int | float) for gold in golds):
        raise ValueError(
            "'gold' must be the gold answer as a string or number, or a list of accepted answers"
        )
    return tuple(map(str, golds))
