"""The forms of computation that passed a model's trials, remembered in the user's cache folder.

The forms are part of the class of numerics and so of the key of every answer. They are known only after the
weights have been loaded and tried, but a finished run should load no weights. So the outcome is stored in the
user's cache folder, under a digest of everything that it depends on. If the cache cannot be written, a run
only takes longer.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from evalsuite.files.caches import cache_folder, replace_json

PACKED, SLOTS = "packed", "slots"
BATCHES, ONE_LENGTH, SINGLE, PASSES, NOTHING = (
    "batches",
    "batches of one length",
    "single rows",
    "full passes",
    "nothing",
)
SCORE_WORDS = {PACKED: ("packed",), BATCHES: (), SINGLE: ("rows",), NOTHING: ()}
TEXT_WORDS = {
    SLOTS: (),
    BATCHES: ("text-batches",),
    ONE_LENGTH: ("text-lengths",),
    SINGLE: ("text-rows",),
    PASSES: ("text-passes",),
    NOTHING: (),
}
"""The words of each form in a class of numerics; the usual forms add few words or none."""


@dataclass(frozen=True, slots=True)
class Forms:
    """How scores and texts are computed, and why no faster form is used."""

    scores: str
    """PACKED, BATCHES, SINGLE, or NOTHING if no form is right."""
    texts: str
    """SLOTS, BATCHES, ONE_LENGTH, SINGLE, PASSES, or NOTHING if no form is right."""
    why_not_packed: str = ""
    """The reason in a few words; empty if scores are packed."""
    score_note: str = ""
    """The run log's note on the form of scores; empty for the usual form, and for a form the user chose."""
    text_note: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of both forms in the class of numerics."""
        return (*SCORE_WORDS[self.scores], *TEXT_WORDS[self.texts])

    def is_as(self, other: "Forms") -> bool:
        """Whether both compute scores and texts in the same forms; notes are not compared."""
        return (self.scores, self.texts) == (other.scores, other.texts)


def remembered(key: str) -> Forms | None:
    """The forms stored for a key; None if no trials are stored."""
    found = _read().get(key)
    names = {field.name for field in fields(Forms)}
    if (
        not isinstance(found, Mapping)
        or set(found) != names
        or not all(isinstance(x, str) for x in found.values())
    ):
        return None
    if found["scores"] not in SCORE_WORDS or found["texts"] not in TEXT_WORDS:
        return None
    return Forms(**found)


def remember(key: str, forms: Forms) -> None:
    """Store the forms; a cache that cannot be written is ignored."""
    with suppress(OSError):
        replace_json(forms_path(), {**_read(), key: asdict(forms)})


def forms_path() -> Path:
    """The file that stores the forms; raises OSError if there is no folder for caches."""
    return cache_folder("evalsuite") / "forms.json"


def _read() -> dict[str, Any]:
    try:
        kept = json.loads(forms_path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
