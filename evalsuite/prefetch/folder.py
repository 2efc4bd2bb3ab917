"""A data folder in the layout that `--data` takes, with a manifest of its content."""

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalsuite.data import DatasetRef
from evalsuite.data.readers import read_file
from evalsuite.errors import DataError, StorageError, UserError
from evalsuite.files import locking
from evalsuite.files.replace import UNFINISHED, replace_text, replaced_file
from evalsuite.prefetch.manifest import (
    MANIFEST_NAME,
    DataFile,
    Manifest,
    TaskData,
    read_manifest,
    write_manifest,
)
from evalsuite.results.folder import disk_errors

_Rows = Sequence[Mapping[str, Any]]


class DataFolder:
    """Adds splits to a data folder; each file is replaced as a whole, then the manifest that names it."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.written: set[str] = set()
        """Paths that this process wrote."""
        self._intact: dict[str, bool] = {}

    def intact(self, name: str) -> bool:
        """Whether the manifest has the file `name`, and the file is as written."""
        if name not in self._intact:
            file = self.manifest.files.get(name)
            path = self.path / name
            self._intact[name] = bool(file and path.is_file() and file_sha256(path) == file.sha256)
        return self._intact[name]

    def file_of(self, id: str, config: str, split: str) -> str | None:
        """Path in the folder of a split's intact file; None if there is none."""
        found = (
            name
            for name, file in self.manifest.files.items()
            if (file.id, file.config, file.split) == (id, config, split)
        )
        return next((name for name in found if self.intact(name)), None)

    def add_rows(self, ref: DatasetRef, split: str, rows: _Rows, source: str, licence: str) -> None:
        """Write the rows of one configuration, with the columns that an earlier file of the split has.

        Raises:
            DataError: an earlier file of the split has other rows.
            StorageError: the file cannot be written.
        """
        named = _named_file(ref, split)
        name = f"{ref.id}/{named}" if named else split_path(ref.id, ref.config, split, "jsonl.gz")
        if earlier := self.file_of(ref.id, ref.config, split):
            before = read_file(self.path / earlier, self.manifest.files[earlier].columns)
            rows = _joined(before, rows, self.path / earlier, source)
        columns = tuple(rows[0])
        entry = DataFile(
            id=ref.id,
            config=ref.config,
            split=split,
            columns=columns,
            rows=len(rows),
            sha256="",
            source=source,
            licence=licence,
            declared=not named,
        )
        self.add_file(name, entry, lambda path: _write_rows(path, rows))

    def add_file(self, name: str, entry: DataFile, write: Callable[[Path], object]) -> None:
        """Write a file and name it in README.md and manifest, in place of the split's earlier file.

        Raises:
            StorageError: the file cannot be written.
        """
        path = self.path / name
        before = set(self.manifest.files)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replaced_file(path) as unfinished:
                write(unfinished)
            digest = file_sha256(path)
            self.manifest = self.manifest.with_file(name, entry.model_copy(update={"sha256": digest}))
            replace_text(self.path / entry.id / "README.md", self.manifest.readme(entry.id))
            write_manifest(self.path, self.manifest)
            for outdated in before - set(self.manifest.files):
                (self.path / outdated).unlink(missing_ok=True)
        self.written.add(name)
        self._intact[name] = True

    def add_task(self, address: str, task: TaskData) -> None:
        """Name a task in the manifest; raises StorageError."""
        with disk_errors(self.path / MANIFEST_NAME):
            self.manifest = self.manifest.with_task(address, task)
            for id in {self.manifest.files[name].id for name in task.files}:
                readme, text = self.path / id / "README.md", self.manifest.readme(id)
                if not readme.is_file() or readme.read_text("utf-8") != text:
                    replace_text(readme, text)
            write_manifest(self.path, self.manifest)


@contextmanager
def opened(path: Path) -> Iterator[DataFolder]:
    """The data folder at `path`, created if it does not exist, and locked for this process.

    Raises:
        UserError: the folder holds other files, or another process writes to it.
    """
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        if not (path / MANIFEST_NAME).exists() and any(one.name != ".lock" for one in path.iterdir()):
            raise UserError(
                f"{path} has files but no {MANIFEST_NAME} of 'evalsuite data'; give --out an empty folder."
            )
        lock_file = (path / ".lock").open("w")
    with lock_file:
        try:
            locking.lock(lock_file, wait=False)
        except BlockingIOError:
            raise StorageError(f"Another process is writing to {path}; wait for it.") from None
        with disk_errors(path):
            if not (path / MANIFEST_NAME).exists():
                write_manifest(path, Manifest())
            manifest = read_manifest(path)
            for unfinished in path.rglob(f"*{UNFINISHED}"):  # A killed process could not remove it.
                unfinished.unlink()
        yield DataFolder(path, manifest)


def _named_file(ref: DatasetRef, split: str) -> str:
    """Path in the dataset's folder, if a task reads the split by its path; raises DataError.

    Rows are written as gzipped JSON lines, so that the path must say that it has these.
    """
    release = ref.releases.get(split)
    named = release.file if release else ref.data_files.get(split, "")
    if named and not named.endswith((".jsonl.gz", ".json.gz")):
        raise DataError(f"{ref.id}/{named} is not gzipped JSON lines; copy it to DIR/{ref.id}/{named}.")
    return named


def split_path(id: str, config: str, split: str, kind: str) -> str:
    """Path in the folder of a split's file."""
    return f"{id}/{_safe(config)}/{_safe(split)}-00000-of-00001.{kind}"


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _safe(name: str) -> str:
    """A name as part of a path, without separators and signs of path patterns."""
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "_"


def _write_rows(path: Path, rows: _Rows) -> None:
    """One JSON object per line, gzipped: the only format that keeps every row as its fingerprint sees it."""
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        for row in rows:
            file.write(json.dumps(row).encode() + b"\n")


def _joined(before: _Rows, rows: _Rows, earlier: Path, source: str) -> _Rows:
    """_Rows with the columns of both; raises DataError if they are not the same rows."""
    both = zip(before, rows, strict=False)
    same = len(before) == len(rows) and all(
        one[column] == other[column] for one, other in both for column in one.keys() & other.keys()
    )
    if not same:
        raise DataError(
            f"{earlier} has other rows than {source}: the dataset has changed; delete the file and run the "
            "same command again."
        )
    return [{**one, **other} for one, other in zip(before, rows, strict=True)]
