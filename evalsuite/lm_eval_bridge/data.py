"""Data for lm-eval's definitions: `datasets.load_dataset` asks the user's mirror first, then the hub or its
cache.

lm-eval's tasks load data while they are built, each in its own way (`ConfigurableTask.download`, Python
classes, `custom_dataset` functions), and all through `datasets.load_dataset`.
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
    """Where the data of the tasks came from."""

    sources: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@contextmanager
def data_from(data_dir: Path | None, spare_splits: Collection[str] = ()) -> Iterator[Loaded]:
    """Within it `datasets.load_dataset` looks into `data_dir` first and says what it did.

    Args:
        data_dir: folder laid out as on the hub.
        spare_splits: splits that may be missing, since nothing is drawn from them; they are empty then.

    Raises:
        DataError: no place has the data set.
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


class Splits(dict):
    """The splits of a data set; one that is missing gives a sentence, or no rows where none are needed."""

    def __init__(self, found: dict, path: str, spare: Collection[str], notes: list[str]) -> None:
        super().__init__(found)
        self._path, self._spare, self._notes = path, spare, notes

    def __missing__(self, split: str) -> Any:
        if split in self._spare and self:
            self._notes.append(f"Split '{split}' of {self._path} was not found; no shot is drawn from it.")
            return next(iter(self.values())).select([])
        raise DataError(f"{self._path} has no split '{split}' where it was found, only {', '.join(self)}.")


def _from_mirror(original: Any, path: str, folder: Path, name: str | None, options: dict[str, Any]) -> Any:
    try:
        with offline():
            return original(str(folder), name, **options)
    # Boundary: `datasets` raises whatever its builders raise.
    except Exception as error:
        raise DataError(
            f"{path}{f':{name}' if name else ''} cannot be read from {folder}: {_told(error)}."
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
        tried.append(f"hub: {away}, and its local cache does not have it" if away else _told(error))
        places = "".join(f"\n  - {one}" for one in tried)
        raise DataError(
            f"The data set {path}{f':{name}' if name else ''} was found nowhere:{places}\n"
            "Give --data DIR (laid out as on the Hugging Face hub), or connect to the hub."
        ) from error


def _told(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "").rstrip(".") or type(error).__name__
