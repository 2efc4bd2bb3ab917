"""Errors that a user can act on: one sentence each, shown without a traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can fix; the message says what was wrong, where, and what to do."""


def plain_message(message: str) -> str:
    """A validator's message without the prefix that pydantic puts before it."""
    return message.removeprefix("Value error, ")


class UnknownName(UserError):
    """A name that no registry knows; suggests the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        near = _nearest(name, known)
        suggestion = f" Did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"Unknown {kind} '{name}'.{suggestion}{' ' + hint if hint else ''}")


def _nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most three known names that are like it; only those about as like it as the one that is most so."""
    likeness = {one: difflib.SequenceMatcher(None, name, one).ratio() for one in sorted(known)}
    near = difflib.get_close_matches(name, likeness, n=3, cutoff=0.5)
    return [one for one in near if likeness[one] > likeness[near[0]] - 0.1]


class DataError(UserError):
    """A data set that is missing, renamed, empty or not the pinned one."""


class ModelError(UserError):
    """A model that cannot be found, read or run."""


class LacksToken(ModelError, ValueError):
    """A prompt needs a token that the tokenizer does not have; a failure of that prompt."""


class ProcessError(ModelError):
    """What one of several processes that hold a model together met by itself."""


class StorageError(UserError):
    """An output folder or store that cannot be used."""
