"""Loads data for lm-eval's tasks from the user's mirror first, then from the hub or its cache.

lm-eval's tasks load data when they are built, in several ways (`ConfigurableTask.download`, Python classes,
`custom_dataset` functions), but all through `datasets.load_dataset`.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from evalsuite.data.hub import offline
from evalsuite.errors import DataError
from evalsuite.offline import why_unreachable


@dataclass
class Loaded:
    """The sources of the tasks' data."""

    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


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
        if folder is not None and folder.is_dir():
            found = _from_mirror(original, path, folder, name, options)
            loaded.sources.append(f"mirror {data_dir}")
        else:
            found = _from_hub(original, path, name, options, data_dir)
            loaded.sources.append(path if Path(path).exists() or path in _FILE_FORMATS else f"hub {path}")
        return Splits(found, str(path), spare_splits, loaded.notes) if isinstance(found, dict) else found

    with patch.object(datasets, "load_dataset", load):
        yield loaded


_FILE_FORMATS = ("json", "csv", "parquet", "text", "arrow")


class Splits(dict[str, Any]):
    """The splits of a dataset; a missing one raises DataError, or is empty if it is not needed."""

    def __init__(self, found: dict[str, Any], path: str, spare: Collection[str], notes: list[str]) -> None:
        super().__init__(found)
        self._path, self._spare, self._notes = path, spare, notes

    def __missing__(self, split: str) -> Any:
        if split in self._spare and self:
            self._notes.append(f"Split '{split}' of {self._path} was not found; no shot is drawn from it.")
            return next(iter(self.values())).select([])
        raise DataError(f"{self._path} has no split '{split}'; it has {', '.join(self)}.")


def _from_mirror(original: Any, path: str, folder: Path, name: str | None, options: dict[str, Any]) -> Any:
    try:
        with offline():
            return original(str(folder), name, **options)
    except Exception as error:  # `datasets` raises any error of its builders.
        raise DataError(
            f"{path}{f':{name}' if name else ''} cannot be read from {folder}: {_first_line(error)}."
        ) from error


def _from_hub(
    original: Any, path: str, name: str | None, options: dict[str, Any], data_dir: Path | None
) -> Any:
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
