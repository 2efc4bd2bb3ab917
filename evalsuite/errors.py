"""Errors that a user can act on: one sentence each, shown without a traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend; the message says what was wrong, where, and what to do."""


class UnknownName(UserError):
    """A name that no registry knows; suggests the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
        suggestion = f" Did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"Unknown {kind} '{name}'.{suggestion}{' ' + hint if hint else ''}")


class DataError(UserError):
    """A data set that is missing, renamed, empty or not the pinned one."""


class ModelError(UserError):
    """A model that cannot be found, read or run."""


class StorageError(UserError):
    """An output folder or store that cannot be used."""
