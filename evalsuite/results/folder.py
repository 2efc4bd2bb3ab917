"""The folder of a run: `run.json`, `responses.sqlite`, `samples/<task>.parquet`, `table.md`."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

from evalsuite.errors import StorageError
from evalsuite.files import locking
from evalsuite.registry.addresses import file_stem
from evalsuite.results.read import RunSide
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import RunLog, read_run
from evalsuite.results.samples import write_samples
from evalsuite.results.store import ResponseStore
from evalsuite.results.tables import markdown_table
from evalsuite.types import Sample, sha256_of

UNLOCKED = (
    "The file system of the run folder does not support locks: evalsuite cannot detect another run that "
    "uses the folder at the same time."
)

CONTINUES = " It continues from the stored answers."
"""What to add where a run's own files cannot be written."""


def default_folder(spec: RunSpec, shard: str = "") -> Path:
    """`results/runs/<model>-<hash of the spec>`, so that the same command finds its folder again.

    A shard, for example "0/3", appends `-shard-0-of-3`.
    """
    model = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in spec.model).strip("-.")
    share = f"-shard-{shard.replace('/', '-of-')}" if shard else ""
    return Path("results", "runs", f"{model[-60:]}-{sha256_of(spec.content)[:8]}{share}")


class RunFolder:
    """Reads and writes a run folder; replaces each file as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_locked = self._is_writable = True

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the folder for the run log."""
        return () if self._is_locked else (UNLOCKED,)

    @property
    def store(self) -> Path:
        """Path of the run's response store."""
        return self.path / "responses.sqlite"

    @contextmanager
    def opened(self, spec: RunSpec, shard: str = "") -> Iterator[RunLog | None]:
        """Lock the folder for this process; yields the log of an earlier session, if there is one.

        If the command fails before anything was answered, the folder is removed, so that a corrected command
        can use it. A read-only folder still shows its run.

        Args:
            spec: the run's spec.
            shard: the run's shard, for example "0/3"; empty for the whole run.

        Raises:
            StorageError: the folder cannot be written, is in use, or holds a run of another spec or shard.
        """
        with self._lock_file() or nullcontext() as lock:
            try:
                self._is_writable = lock is not None
                self._is_locked = lock is None or locking.lock(lock, wait=False)
            except BlockingIOError:
                raise StorageError(
                    f"{self.path} is in use by another run; wait for it or choose another --out."
                ) from None
            earlier = self._earlier(spec, shard)
            try:
                yield earlier
            except Exception:
                if lock and earlier is None:
                    self._remove_if_unanswered()
                raise

    def _lock_file(self) -> IO[str] | None:
        """The file to lock during the run; None if the folder holds a run but is read-only."""
        with disk_errors(self.path, CONTINUES):
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                return open(self.path / ".lock", "w")
            except OSError as error:
                if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) and self._log_path.exists():
                    return None
                raise

    def lacks(self, log: RunLog) -> str:
        """A sentence on a missing or damaged file of a finished run; empty if there is none to write."""
        if not self._is_writable:
            return ""
        try:
            if log.shard:
                return self._lacks_answers(log.shard.requests)
            side = RunSide(self.path, log)
            for task in log.tasks:
                side.samples(task)
        except StorageError as error:
            return str(error)
        table = self.path / "table.md"
        return "" if table.is_file() else f"{table} is missing."

    def _lacks_answers(self, count: int) -> str:
        if not self.store.exists():
            return f"{self.store} is missing."
        store = ResponseStore(self.store)
        try:
            return "" if len(store) >= count else f"{self.store} lacks answers."
        finally:
            store.close()

    @property
    def _log_path(self) -> Path:
        return self.path / "run.json"

    def _is_unanswered(self) -> bool:
        """Whether the folder holds neither an answer nor a score."""
        if self._log_path.exists():
            log = read_run(self.path)
            if log.status in ("complete", "shard") or any(task.metrics for task in log.tasks):
                return False
        if not self.store.exists():
            return True
        store = ResponseStore(self.store)
        try:
            return not len(store)
        finally:
            store.close()

    def _remove_if_unanswered(self) -> None:
        with suppress(OSError, StorageError):
            if self._is_unanswered():
                for file in (self._log_path, *self.path.glob(f"{self.store.name}*"), self.path / ".lock"):
                    file.unlink(missing_ok=True)
                self.path.rmdir()

    def _earlier(self, spec: RunSpec, shard: str) -> RunLog | None:
        if not self._log_path.exists():
            return None
        log = read_run(self.path)
        earlier_shard = log.shard.name if log.shard else ""
        if (log.spec != spec or earlier_shard != shard) and self._is_unanswered():
            return None
        differing = [
            f"{name}: the folder has {_shown(getattr(log.spec, name))}, "
            f"the command {_shown(getattr(spec, name))}"
            for name in RunSpec.model_fields
            if getattr(log.spec, name) != getattr(spec, name)
        ]
        if differing and not (spec.continues(log.spec) and not earlier_shard):
            raise StorageError(
                f"{self.path} holds a run of another specification ({'; '.join(differing)}); "
                "choose another --out folder."
            )
        if earlier_shard != shard:
            raise StorageError(
                f"{self.path} holds {_share(earlier_shard)}, not {_share(shard)}; choose another --out "
                "folder."
            )
        return log

    def write_log(self, log: RunLog) -> None:
        """Replace `run.json`; raises pydantic's ValidationError if the log could not be read back."""
        text = log.model_dump_json(indent=2) + "\n"
        RunLog.model_validate_json(text)
        self._replace("run.json", text)

    def write_results(self, log: RunLog, samples: Mapping[str, Sequence[Sample]]) -> None:
        """Write samples and table first and the log last, so that a complete log implies all other files."""
        folder = self.path / "samples"
        with disk_errors(folder, CONTINUES):
            folder.mkdir(exist_ok=True)
            names = {f"{file_stem(task.name)}.parquet" for task in log.tasks}
            for stale in [file for file in folder.glob("*.parquet") if file.name not in names]:
                stale.unlink()
            for task in log.tasks:
                if task.name not in samples:  # Imported from results without samples.
                    continue
                path = folder / f"{file_stem(task.name)}.parquet"
                unfinished = path.with_suffix(".unfinished")
                write_samples(samples[task.name], task.task, unfinished)
                os.replace(unfinished, path)
        self._replace("table.md", markdown_table(log))
        self.write_log(log)

    def _replace(self, name: str, text: str) -> None:
        path = self.path / name
        with disk_errors(path, CONTINUES):
            unfinished = path.with_suffix(".unfinished")
            unfinished.write_text(text, encoding="utf-8")
            os.replace(unfinished, path)


@contextmanager
def disk_errors(path: Path, kept: str = "") -> Iterator[None]:
    """Turn an OSError into a StorageError with a sentence that names the path, and one on what is kept."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageError(
                f"No space is left for {path}; free some space and run the same command again.{kept}"
            ) from error
        raise StorageError(f"{path} cannot be written: {error.strerror or error}.") from error


def _share(shard: str) -> str:
    return f"shard {shard} of a run" if shard else "a whole run"


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
