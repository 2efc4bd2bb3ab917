"""A run that leaves nothing on disk: the counterparts of its folder and of its response store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from evalsuite.results.folder import RunFolder
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import RunLog
from evalsuite.results.store import ResponseStore
from evalsuite.types import Response, Sample


class NoFolder(RunFolder):
    """Stands for the folder of a run that is not written; see `RunFolder`."""

    def __init__(self) -> None:
        """There is nothing to open."""

    @property
    def notes(self) -> tuple[str, ...]:
        """No notes."""
        return ()

    @property
    def store(self) -> None:  # type: ignore[override]
        """There is none."""
        return None

    @contextmanager
    def opened(self, spec: RunSpec, shard: str = "") -> Iterator[RunLog | None]:
        """Yields None: there is no earlier session."""
        yield None

    def write_log(self, log: RunLog) -> None:
        """Does nothing."""

    def write_results(self, log: RunLog, samples: Mapping[str, Sequence[Sample]]) -> None:
        """Does nothing."""


class NoStore(ResponseStore):
    """Stands for the store of a run that keeps no answer; see `ResponseStore`."""

    def __init__(self) -> None:
        """There is nothing to open."""

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Response]:
        """No answer is stored."""
        return {}

    def put(self, answers: Iterable[tuple[bytes, Response]]) -> None:
        """Does nothing."""

    def origins(self, keys: Sequence[bytes]) -> list[tuple[dict[str, str], int]]:
        """No answer comes from an earlier session."""
        return []

    def close(self) -> None:
        """Does nothing."""
