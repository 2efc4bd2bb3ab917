"""Errors that a user can act on: each is one sentence and is shown without a traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can fix; the message says what was wrong, where, and what to do."""


def plain_message(message: str) -> str:
    """A validator's message without the prefix that pydantic puts before it."""
    return message.removeprefix("Value error, ")


class UnknownName(UserError):
    """A name that no registry knows; the message suggests the nearest names."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        near = _nearest(name, known)
        suggestion = f" Did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"Unknown {kind} '{name}'.{suggestion}{' ' + hint if hint else ''}")


def _nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most three similar known names, each about as similar as the most similar one."""
    similarity = {other: difflib.SequenceMatcher(None, name, other).ratio() for other in sorted(known)}
    near = difflib.get_close_matches(name, similarity, n=3, cutoff=0.5)
    return [other for other in near if similarity[other] > similarity[near[0]] - 0.1]


class DataError(UserError):
    """A data set that is missing, renamed, empty or different from its pin."""


class ModelError(UserError):
    """A model that cannot be found, read or run."""


class ModelConfigError(ModelError):
    """`--model-config` is missing, superfluous or wrong, whatever the checkpoint."""


class LacksToken(ModelError, ValueError):
    """A prompt needs a token that the tokenizer does not have; only that prompt fails."""


class ProcessError(ModelError):
    """An error in a single one of the processes that share a model."""


class StorageError(UserError):
    """An output folder or store that cannot be used."""
