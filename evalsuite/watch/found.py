"""The checkpoints in a folder: its entries that are models, or that are named after a training step."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from evalsuite.checkpoints.formats import formats_by_suffix, recognized_format
from evalsuite.errors import ModelError, StorageError
from evalsuite.results.steps import step_in
from evalsuite.watch.options import WatchOptions

GGUF = ".gguf"
CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint, complete or not."""

    name: str
    """Its name in the folder, which is the name of its run's folder, too."""
    path: Path
    step: int | None
    """Training step in the name."""
    model: str
    """As `evalsuite run` takes it: a folder `./8b` is no alias."""


def found_in(folder: Path, options: WatchOptions) -> list[Found]:
    """The checkpoints in the order in which they are evaluated; those without a step come last.

    Raises:
        StorageError: the folder cannot be read.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror}.") from None
    found = [
        Found(path.name, path, step_in(path.name), f"{folder}/{path.name}")
        for path in paths
        if fnmatch(path.name, options.pattern)
    ]
    chosen = [each for each in found if _is_checkpoint(each) and _is_wanted(each, options.every)]
    return ordered(chosen, newest_first=options.order == "newest")


def ordered(found: Sequence[Found], *, newest_first: bool) -> list[Found]:
    """By step; checkpoints without a step follow, by name."""
    numbered = sorted((each for each in found if each.step is not None), key=lambda each: each.step or 0)
    others = [each for each in found if each.step is None]
    return [*(reversed(numbered) if newest_first else numbered), *others]


def _is_checkpoint(found: Found) -> bool:
    path = found.path
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return found.step is not None or (path / CONFIG).is_file() or _is_raw(path)
    return path.suffix == GGUF or path.suffix in formats_by_suffix()


def _is_raw(path: Path) -> bool:
    """Whether a checkpoint format knows a folder of any name."""
    try:
        return recognized_format(path) is not None
    except ModelError:
        return False


def _is_wanted(found: Found, every: int) -> bool:
    return found.step is None or found.step % every == 0
