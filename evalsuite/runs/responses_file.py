"""A responses file: generated texts to be graded, one JSON object a line.

`{"doc": 0, "text": "..."}` or `{"doc": 0, "texts": ["...", "..."]}`, and `"gold"` where the line brings its
own right answer. Lines may come in any order and repeat a document.
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
    """Of the line, from 1."""
    doc: int | None
    """Index of the document in the evaluated split, all member tasks counted through; None where gold is
    given."""
    texts: tuple[str, ...]
    several: bool
    """It says `texts`: verdicts are lists, however many there are."""
    gold: tuple[str, ...] = ()
    """Accepted answers in place of the document's; of MATH the text of the gold solution."""


def read_responses(path: Path) -> list[ResponseLine]:
    """The lines of a JSON Lines file, empty ones left out.

    Raises:
        UserError: the file cannot be read, or a line is none of `{"doc": 0, "text": "..."}`,
            `{"doc": 0, "texts": ["...", ...]}`, with `"gold"` if one likes.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append(_response(number, line))
            except ValueError as error:
                raise UserError(f"{path}, line {number}: {error}.") from error
    if not found:
        raise UserError(f"{path} holds no responses.")
    return found


def _response(number: int, line: str) -> ResponseLine:
    try:
        fields = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"this is not JSON ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError('a line is an object such as {"doc": 0, "text": "..."}')
    if strange := [key for key in fields if key not in KEYS]:
        raise ValueError(f"unknown key '{strange[0]}'; the keys are {', '.join(KEYS)}")
    if ("text" in fields) == ("texts" in fields):
        raise ValueError("give either 'text' or 'texts'")
    texts = fields["texts"] if "texts" in fields else [fields["text"]]
    if not (isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts)):
        raise ValueError("'text' is a string, 'texts' a list of at least one string")
    doc, gold = fields.get("doc"), _gold(fields)
    if not (doc is None or (isinstance(doc, int) and not isinstance(doc, bool) and doc >= 0)):
        raise ValueError("'doc' is the index of a document, a whole number from 0")
    if doc is None and not gold:
        raise ValueError("'doc' is missing; it says which document the text answers (or give 'gold')")
    return ResponseLine(number, doc, tuple(texts), "texts" in fields, gold)


def _gold(fields: dict[str, Any]) -> tuple[str, ...]:
    if "gold" not in fields:
        return ()
    given = fields["gold"] if isinstance(fields["gold"], list) else [fields["gold"]]
    if not given or any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in given):
        raise ValueError("'gold' is the right answer as a string or number, or a list of accepted ones")
    return tuple(map(str, given))
