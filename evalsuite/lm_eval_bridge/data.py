"""Loads data for lm-eval's tasks from the user's mirror first, then from the hub or its cache.

lm-eval's tasks load data when they are built, in several ways (`ConfigurableTask.download`, Python classes,
`custom_dataset` functions), but all through `datasets.load_dataset`.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from evalsuite.data.found import SplitTable
from evalsuite.data.hub import offline
from evalsuite.errors import DataError
from evalsuite.lm_eval_bridge.quiet import quiet
from evalsuite.offline import why_unreachable
from evalsuite.types import sha256_of


@dataclass
class Loaded:
    """What the tasks loaded, and its sources."""

    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    datasets: list["Splits"] = field(default_factory=list)
    """Datasets with the layout of the hub."""
    elsewhere: list[str] = field(default_factory=list)
    """Loads that no folder in the layout of the hub can answer."""

    def tables(self) -> Iterator[SplitTable]:
        """The splits that the tasks read."""
        for splits in self.datasets:
            for name in splits.read or splits:
                table = splits[name]
                yield SplitTable(
                    splits.id,
                    splits.config,
                    name,
                    splits.source,
                    tuple(table.column_names),
                    len(table),
                    partial(_save, table),
                )


def _save(table: Any, path: Path) -> None:
    with quiet():
        table.to_parquet(path)


@contextmanager
def data_from(data_dir: Path | None, spare_splits: Collection[str] = ()) -> Iterator[Loaded]:
    """Make `datasets.load_dataset` search `data_dir` first; yields the sources that it used.

    Args:
        data_dir: folder with the layout of the hub.
        spare_splits: splits that may be missing, since nothing is drawn from them; they are then empty.

    Raises:
        DataError: no source has the dataset.
    """
    import datasets

    original, loaded = datasets.load_dataset, Loaded()

    def load(path: str, name: str | None = None, **options: Any) -> Any:
        options.pop("trust_remote_code", None)
        folder = data_dir / path if data_dir else None
        in_mirror = folder is not None and folder.is_dir()
        if folder is not None and in_mirror:
            found = _from_mirror(original, path, folder, name, options)
            loaded.sources.append(f"mirror {data_dir}")
        else:
            found = _from_hub(original, path, name, options, data_dir)
            loaded.sources.append(path if Path(path).exists() or path in _FILE_FORMATS else f"hub {path}")
        by_name = not {"data_files", "data_dir", "split"} & {key for key, value in options.items() if value}
        if isinstance(found, dict):
            found = Splits(
                found, str(path), name or "default", loaded.sources[-1], spare_splits, loaded.notes
            )
        if isinstance(found, Splits) and by_name and (in_mirror or loaded.sources[-1] != path):
            loaded.datasets.append(found)
        else:
            loaded.elsewhere.append(" ".join([path, *_given(name, options)]))
        return found

    with patch.object(datasets, "load_dataset", load):
        yield loaded


def _given(name: str | None, options: dict[str, Any]) -> Iterator[str]:
    """The arguments of a load, for people."""
    yield from [name] if name else []
    yield from (f"{key}={value}" for key, value in options.items() if value)


_FILE_FORMATS = ("json", "csv", "parquet", "text", "arrow")


class Splits(dict[str, Any]):
    """The splits of a dataset; a missing one raises DataError, or is empty if it is not needed."""

    def __init__(
        self,
        found: dict[str, Any],
        id: str,
        config: str,
        source: str,
        spare: Collection[str],
        notes: list[str],
    ) -> None:
        super().__init__(found)
        self.id, self.config, self.source = id, config, source
        self.read: list[str] = []
        """The splits that were read, in that order."""
        self._spare, self._notes = spare, notes

    def __getitem__(self, split: str) -> Any:
        if split in self and split not in self.read:
            self.read.append(split)
        return super().__getitem__(split)

    def __missing__(self, split: str) -> Any:
        if split in self._spare and self:
            self._notes.append(f"Split '{split}' of {self.id} was not found; no shot is drawn from it.")
            return next(iter(self.values())).select([])
        raise DataError(f"{self.id} has no split '{split}'; it has {', '.join(self)}.")


def _from_mirror(original: Any, path: str, folder: Path, name: str | None, options: dict[str, Any]) -> Any:
    try:
        with offline():
            return original(str(folder), name, **{**options, "cache_dir": _cache_of(folder)})
    except Exception as error:  # `datasets` raises any error of its builders.
        raise DataError(
            f"{path}{f':{name}' if name else ''} cannot be read from {folder}: {_first_line(error)}."
        ) from error


def _cache_of(folder: Path) -> str:
    """The cache folder for a dataset of a mirror as it is now.

    `datasets` (5.2) caches a local folder by its last name and the names of its files alone: it would return
    the rows of another mirror, or those that the folder had before.
    """
    import datasets

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return str(
        Path(datasets.config.HF_DATASETS_CACHE, "evalsuite", sha256_of([str(folder.resolve()), states]))
    )


def _from_hub(
    original: Any, path: str, name: str | None, options: dict[str, Any], data_dir: Path | None
) -> Any:
    if path in _FILE_FORMATS and not (options.get("data_files") or options.get("data_dir")):
        raise DataError(
            f"The dataset '{path}' is a format of files, and no file is named (dataset_kwargs: data_files); "
            "`datasets` would read what the working folder has."
        )
    local = path in _FILE_FORMATS or Path(path).exists()
    away = "" if local else why_unreachable("HF_DATASETS_OFFLINE")
    try:
        with offline() if away or local else nullcontext():
            return original(path, name, **options)
    except Exception as error:
        tried = [f"mirror {data_dir}: no folder {path}"] if data_dir and not local else []
        tried.append(f"hub: {away}, and its local cache does not have it" if away else _first_line(error))
        reasons = "".join(f"\n  - {reason}" for reason in tried)
        raise DataError(
            f"The dataset {path}{f':{name}' if name else ''} was not found:{reasons}\n"
            "Give --data DIR (with the layout of the Hugging Face hub), or connect to the hub."
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "").rstrip(".") or type(error).__name__
