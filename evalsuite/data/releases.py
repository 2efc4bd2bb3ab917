"""Finds EvalPlus's release files in a mirror, by EvalPlus's own variables, or in EvalPlus's cache.

Source of the paths: evalplus 0.3.1, data/humaneval.py, data/mbpp.py and data/utils.py.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from evalsuite.data.found import FoundSplit, NotHere
from evalsuite.data.readers import read_file
from evalsuite.data.refs import DatasetRef, Release
from evalsuite.files.caches import cache_folder


def sources(release: Release, data_dir: Path | None) -> dict[str, Callable[[DatasetRef, str], FoundSplit]]:
    """Sources of the file in order, by their name in error messages."""
    override = os.environ.get(release.override)
    try:
        cached = cache_folder("evalplus") / release.cached
    except OSError:  # no home folder
        cached = None
    mirror = {f"mirror {data_dir}": partial(_in_mirror, data_dir=data_dir)} if data_dir else {}
    return {
        **mirror,
        f"variable {release.override}": partial(_at, path=Path(override) if override else None),
        "EvalPlus's cache": partial(_at, path=cached),
    }


def advice(release: Release, ref: DatasetRef) -> str:
    """Advice for a user who does not have the file."""
    command = f"from evalplus.data import {release.fetch}; {release.fetch}()"
    return (
        f"Give --data DIR with the file DIR/{ref.id}/{release.file}, set {release.override} to its path, or "
        f"download it with the package evalplus: python -c '{command}'."
    )


def _in_mirror(ref: DatasetRef, split: str, data_dir: Path) -> FoundSplit:
    return _at(ref, split, data_dir / ref.id / ref.releases[split].file)


def _at(ref: DatasetRef, split: str, path: Path | None) -> FoundSplit:
    if path is None:
        raise NotHere("it is not set")
    if not path.is_file():
        raise NotHere(f"no file {path}")
    return FoundSplit(read_file(path, ref.columns), f"file {path}")
