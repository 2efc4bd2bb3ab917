"""In which forms a model's requests are computed, as its trials have it; remembered beside the digests of its
files.

The forms are in the numerics class and so in the key of every answer. They are known only once the weights
have been loaded and tried, and a run that is finished loads none: so the outcome is kept in the user's cache
folder, by all that it depends on. Without a cache that can be written a run takes longer, and nothing else.
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
"""What a form is called in a class of numerics; the usual ones of scores and of texts say least."""


@dataclass(frozen=True, slots=True)
class Forms:
    """How scores and texts are computed, and why not in a faster form."""

    scores: str
    """PACKED, BATCHES, SINGLE, or NOTHING that is right."""
    texts: str
    """SLOTS, BATCHES, ONE_LENGTH, SINGLE, PASSES, or NOTHING."""
    why_not_packed: str = ""
    """In a few words; empty if scores are packed."""
    score_note: str = ""
    """What the run log says of the form of scores; empty for the usual one, and for one that was asked
    for."""
    text_note: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """For the class of numerics."""
        return (*SCORE_WORDS[self.scores], *TEXT_WORDS[self.texts])

    def is_as(self, other: "Forms") -> bool:
        """Whether both compute alike, whatever they say of it."""
        return (self.scores, self.texts) == (other.scores, other.texts)


def remembered(key: str) -> Forms | None:
    """The forms that were found for a key; None where nobody has tried."""
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
    """Keep the forms; a cache that cannot be written is let be."""
    with suppress(OSError):
        replace_json(forms_path(), {**_read(), key: asdict(forms)})


def forms_path() -> Path:
    """Where they are kept; raises OSError where there is no folder for caches."""
    return cache_folder("evalsuite") / "forms.json"


def _read() -> dict[str, Any]:
    try:
        kept = json.loads(forms_path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
