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

from evalsuite.engine.native.paths import PARTS, PLAIN, Paths
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
    paths: Paths = PLAIN
    """The implementation of each part."""
    path_notes: str = ""
    """The run log's notes on parts that fell back, a line each."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of both forms in the class of numerics; `Paths.words` has those of the parts."""
        return (*SCORE_WORDS[self.scores], *TEXT_WORDS[self.texts])

    def is_as(self, other: "Forms") -> bool:
        """Whether both compute scores and texts in the same forms on the same paths, whatever the notes."""
        return (self.scores, self.texts, self.paths) == (other.scores, other.texts, other.paths)

    def difference_from(self, other: "Forms") -> str:
        """What the forms and paths are, and what the other's are, where they differ."""
        mine, others = ({**_named(forms)} for forms in (self, other))
        changed = [name for name in mine if mine[name] != others[name]]
        found, known = (", ".join(f"{name} {forms[name]}" for name in changed) for forms in (mine, others))
        return f"{found}; not {known}"


def _named(forms: Forms) -> dict[str, str]:
    return {"scores": forms.scores, "texts": forms.texts, **asdict(forms.paths)}


def remembered(key: str) -> Forms | None:
    """The forms stored for a key; None if no trials are stored."""
    found = _read().get(key)
    if found is None or not _has_fields(found, {field.name for field in fields(Forms)}, besides="paths"):
        return None
    if not _has_fields(found["paths"], set(PARTS)):
        return None
    if found["scores"] not in SCORE_WORDS or found["texts"] not in TEXT_WORDS:
        return None
    return Forms(**{**found, "paths": Paths(**found["paths"])})


def _has_fields(found: Any, names: set[str], besides: str = "") -> bool:
    """Whether a stored value has exactly these fields, all of them texts except `besides`."""
    return (
        isinstance(found, Mapping)
        and set(found) == names
        and all(isinstance(value, str) for name, value in found.items() if name != besides)
    )


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
