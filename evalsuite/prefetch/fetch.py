"""Fetches what tasks need into a data folder, from the sources of a run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from evalsuite.data import DatasetRef, Rows, load_split
from evalsuite.data.found import SplitTable
from evalsuite.data.licences import licence_of
from evalsuite.errors import DataError
from evalsuite.files.side_packages import side_package
from evalsuite.prefetch.folder import DataFolder, file_sha256, split_path
from evalsuite.prefetch.manifest import DataFile, PackageFile, TaskData
from evalsuite.prompting.exemplars import installed_file
from evalsuite.registry.selected import ForeignTask, Selected
from evalsuite.requests.prepare import prepare, splits_of


@dataclass(frozen=True)
class Fetched:
    """What a task has in the folder."""

    data: TaskData
    new: tuple[str, ...]
    """Paths of the files that were written for it."""
    notes: tuple[str, ...]
    """Notes on its data, as a run shows them."""


def fetch_task(
    selected: Selected,
    folder: DataFolder,
    *,
    data_dir: Path | None = None,
    split: str | None = None,
    allow_drift: bool = False,
) -> Fetched:
    """Add to the folder what a task needs and the folder lacks, and read it from there as a run does.

    Args:
        selected: the task.
        folder: the folder.
        data_dir: a folder in Hugging Face layout that is searched before hub and packages.
        split: split to evaluate, in place of the spec's.
        allow_drift: accept rows that differ from the pinned data.

    Raises:
        DataError: a split is nowhere, or the folder would give other rows than its source.
        UserError: a package with worked examples is not installed.
        StorageError: a file cannot be written.
    """
    before = set(folder.written)
    if selected.foreign is not None:
        data, notes = _fetch_foreign(selected, selected.foreign, folder, data_dir)
    else:
        data, notes = _fetch_own(selected, folder, data_dir, split, allow_drift)
    folder.add_task(selected.address, data)
    return Fetched(data, tuple(name for name in data.files if name in folder.written - before), notes)


def _fetch_own(
    selected: Selected, folder: DataFolder, data_dir: Path | None, split: str | None, allow_drift: bool
) -> tuple[TaskData, tuple[str, ...]]:
    ref, fingerprints = selected.task.data, dict[str, str]()
    for name in dict.fromkeys(filter(None, splits_of(selected, split))):
        if _local(ref, name) or _files(folder, ref, name):
            continue
        rows = load_split(ref, name, data_dir=data_dir, allow_drift=allow_drift)
        for part, own in _parts(ref, rows):
            folder.add_rows(part, name, own, rows.source, licence_of(part.id, data_dir))
        fingerprints[name] = rows.fingerprint
    prepared = prepare(selected, data_dir=folder.path, split=split, allow_drift=allow_drift)
    for name, fetched in fingerprints.items():
        _require_same(prepared.data[name].fingerprint, fetched, f"split '{name}' of {ref}")
    prepared.renderer  # noqa: B018 - reads the worked examples and checks their hash
    files = [path for name in prepared.data for path in _files(folder, ref, name) or ()]
    return TaskData(
        spec_sha256=selected.spec.sha256,
        fingerprints={name: rows.fingerprint for name, rows in prepared.data.items()},
        files=tuple(files),
        packages=tuple(_packages(selected)),
        local=tuple(path for name in prepared.data for path in _local(ref, name)),
    ), prepared.notes


def _local(ref: DatasetRef, split: str) -> tuple[str, ...]:
    """Paths of the user's own files that have the split in place of a dataset."""
    if ref.texts is not None:
        return ref.texts.paths
    return (str(ref.files[split]),) if split in ref.files else ()


def _parts(ref: DatasetRef, rows: Rows) -> Iterator[tuple[DatasetRef, list[dict[str, Any]]]]:
    """The rows of each configuration that was joined, or of the one that was read."""
    if not ref.configs:
        yield replace(ref, config=rows.config), rows.rows
    for config in ref.configs:
        own = [row for row in rows.rows if row["config"] == config]
        yield ref.part(config), [{name: row[name] for name in ref.columns} for row in own]


def _files(folder: DataFolder, ref: DatasetRef, split: str) -> list[str] | None:
    """Paths of the split's files with the columns that a task reads; None if the folder lacks one."""
    parts = [ref.part(config) for config in ref.configs] or [ref]
    found = [folder.file_of(part.id, part.config, split) for part in parts]
    if None in found and split in ref.stand_ins:
        found = [folder.file_of(ref.id, ref.stand_ins[split].config, split)]
    files = [name for name in found if name]
    has_columns = all(set(ref.columns) <= set(folder.manifest.files[name].columns) for name in files)
    return files if len(files) == len(found) and has_columns else None


def _packages(selected: Selected) -> Iterator[PackageFile]:
    spec = selected.spec
    if (exemplars := spec.shots.exemplars) and spec.shots.count:
        for member in exemplars.members:
            yield PackageFile(
                package=exemplars.package,
                version=exemplars.version or metadata.version(exemplars.package),
                file=exemplars.file_of(member),
                sha256=file_sha256(installed_file(exemplars, member)),
                side=bool(exemplars.version),
            )
    if version := spec.math_verify_version:
        found = side_package("math-verify", version, f"{selected.name} is judged by")
        file = "math_verify/grader.py"
        digest = file_sha256(Path(str(found.locate_file(file))))
        yield PackageFile(
            package="math-verify", version=version, file=file, sha256=digest, side=True, grades=True
        )


def _fetch_foreign(
    selected: Selected, task: ForeignTask, folder: DataFolder, data_dir: Path | None
) -> tuple[TaskData, tuple[str, ...]]:
    known = folder.manifest.tasks.get(selected.address)
    if known and known.spec_sha256 == selected.spec.sha256 and all(map(folder.intact, known.files)):
        return known, ()
    source = task.read_data(selected, data_dir)
    for table in source.tables:
        _add_table(folder, table, licence_of(table.id, data_dir))
    again = task.read_data(selected, folder.path)
    _require_same(again.documents.fingerprint, source.documents.fingerprint, selected.name)
    return TaskData(
        spec_sha256=selected.spec.sha256,
        fingerprints={selected.task.split: source.documents.fingerprint},
        files=tuple(dict.fromkeys(map(_table_path, source.tables))),
        local=source.local,
    ), source.documents.notes


def _add_table(folder: DataFolder, table: SplitTable, licence: str) -> None:
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", table.id):
        raise DataError(f"'{table.id}' is no dataset id; its files cannot be put into {folder.path}.")
    name = _table_path(table)
    if folder.intact(name):
        return
    entry = DataFile(
        id=table.id,
        config=table.config,
        split=table.split,
        columns=table.columns,
        rows=table.rows,
        sha256="",
        source=table.source,
        licence=licence,
    )
    folder.add_file(name, entry, table.save)


def _table_path(table: SplitTable) -> str:
    return split_path(table.id, table.config, table.split, "parquet")


def _require_same(ours: str, theirs: str, what: str) -> None:
    if ours != theirs:
        raise DataError(
            f"The folder gives other rows than the source for {what} (fingerprint {ours[:12]} in place of "
            f"{theirs[:12]}); delete the folder and run the same command again."
        )
