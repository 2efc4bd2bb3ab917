"""Whether a checkpoint is completely written: proved by its own headers, and unchanged for a while.

Every weight file that the index names must exist with the size that its header declares; files without such
a header (pickles, tokenizers, configurations) prove nothing, so that the checkpoint must not change for some
seconds, either. A file that the trainer writes last takes the place of the waiting.
"""

import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from evalsuite.checkpoints import resolve
from evalsuite.checkpoints.weights import check
from evalsuite.errors import ModelConfigError, UserError

Signature = tuple[tuple[str, int, int], ...]
"""Relative path, size and modification time of each file."""


class Readiness(Enum):
    """How far the writing of a checkpoint is."""

    COMPLETE = "complete"
    SETTLING = "settling"
    """Nothing is missing, but it changed a moment ago."""
    INCOMPLETE = "incomplete"


class Completeness:
    """Judges checkpoints, and remembers since when each has not changed.

    Args:
        done_file: name of a file that is written last; empty for none.
        settle: seconds without a change.
        clock: seconds that never go back.
        model_config: folder, alias or hub id with the configuration of raw checkpoints.
    """

    def __init__(
        self,
        done_file: str,
        settle: float,
        clock: Callable[[], float] = time.monotonic,
        model_config: str | None = None,
    ) -> None:
        self._done_file = done_file
        self._settle = settle
        self._clock = clock
        self._model_config = model_config
        self._since: dict[Path, tuple[Signature, float]] = {}

    def of(self, path: Path) -> tuple[Readiness, str]:
        """How far a checkpoint is written, and what is missing.

        Raises:
            ModelConfigError: `model_config` is missing, superfluous or wrong, which no waiting changes.
        """
        if self._done_file and not self._done_path(path).is_file():
            return Readiness.INCOMPLETE, f"it has no {self._done_file} yet"
        if (age := self._unchanged(path)) is None:
            return Readiness.INCOMPLETE, "it is gone"
        try:
            check(resolve(str(path.absolute()), model_config=self._model_config))
        except ModelConfigError:
            raise
        except UserError as error:
            return Readiness.INCOMPLETE, str(error)
        if not self._done_file and age < self._settle:
            return Readiness.SETTLING, ""
        return Readiness.COMPLETE, ""

    def _done_path(self, path: Path) -> Path:
        return path / self._done_file if path.is_dir() else path.with_name(path.name + self._done_file)

    def _unchanged(self, path: Path) -> float | None:
        """Seconds since the first look that saw the files as they are now; None if they are gone."""
        signature = signature_of(path)
        if signature is None:
            self._since.pop(path, None)
            return None
        known = self._since.get(path)
        if known is None or known[0] != signature:
            self._since[path] = known = (signature, self._clock())
        return self._clock() - known[1]


def signature_of(path: Path) -> Signature | None:
    """What tells whether a checkpoint has changed; None if it is gone, or changes while it is looked at."""
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        states = [(str(file), file.stat()) for file in files if file.is_file()]
    except OSError:
        return None
    return tuple((name, state.st_size, state.st_mtime_ns) for name, state in states) or None
