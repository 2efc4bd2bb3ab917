"""Loads splits from a folder of datasets with the layout of Hugging Face hub repositories.

`<org>/<name>/README.md` begins with a YAML header whose `configs` name the files of each split
(https://huggingface.co/docs/hub/datasets-manual-configuration). Without that header, files are found by the
hub's usual names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from evalsuite.data.found import FoundSplit, NotHere
from evalsuite.data.readers import SUFFIXES, read_files
from evalsuite.data.refs import DatasetRef
from evalsuite.errors import DataError
from evalsuite.files.yaml_files import load_yaml


def from_mirror(ref: DatasetRef, split: str, data_dir: Path) -> FoundSplit:
    """Rows of a split in the mirror at `data_dir`.

    Raises:
        NotHere: the mirror does not have this dataset, configuration or split.
        DataError: a file is damaged or a column is missing.
    """
    folder = data_dir / ref.id
    if not folder.is_dir():
        raise NotHere(f"no folder {ref.id}")
    named = ref.data_files.get(split)
    paths = split_files(folder, ref.config, split) if named is None else _all_shards([folder / named])
    rows = read_files(paths, ref.columns)
    return FoundSplit(rows, f"mirror {data_dir}")


def split_files(folder: Path, config: str, split: str) -> list[Path]:
    """Files of a split, in the order in which the hub concatenates them.

    Raises:
        NotHere: the folder does not have all files.
        DataError: the README's header cannot be read.
    """
    configs = _declared_configs(folder / "README.md")
    if not configs:
        return _all_shards(_usual_files(folder, config, split))
    if config not in configs:
        raise NotHere(f"its README.md has no config '{config}'; it has {', '.join(configs)}")
    declared = configs[config]
    if not declared.patterns:
        return _all_shards(_usual_files(folder / declared.data_dir, "default", split))
    if split not in declared.patterns:
        raise NotHere(
            f"its README.md has no split '{split}' of {config}; it has {', '.join(declared.patterns)}"
        )
    return _all_shards([path for pattern in declared.patterns[split] for path in _matches(folder, pattern)])


@dataclass(frozen=True, slots=True)
class _Config:
    """A configuration in the header."""

    patterns: dict[str, list[str]]
    """Path patterns by split; empty if the files are found by name."""
    data_dir: str
    """Folder in which files are found by name."""


def _declared_configs(readme: Path) -> dict[str, _Config]:
    """The header's configurations by name; empty if it declares none."""
    try:
        text = readme.read_text("utf-8") if readme.is_file() else ""
        header = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
        return _configs_of(header[1]) if header else {}
    except OSError as error:
        raise DataError(f"{readme} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise DataError(f"The YAML header of {readme} is not valid ({reason}); fix it.") from error


@lru_cache(maxsize=16)
def _configs_of(header: str) -> dict[str, _Config]:
    """The configurations in the header; cached, since MMLU's is long and its 57 subjects all need it."""
    declared = load_yaml(header)
    return {
        _name(config["config_name"]): _Config(
            _patterns(config.get("data_files", [])), _path(config.get("data_dir") or "")
        )
        for config in (declared or {}).get("configs") or ()
    }


def _patterns(data_files: Any) -> dict[str, list[str]]:
    """Path patterns by split. A bare path or list of paths is the split "train", as on the hub."""
    patterns: dict[str, list[str]] = {}
    for entry in data_files if isinstance(data_files, list) else [data_files]:
        split, path = (entry["split"], entry["path"]) if isinstance(entry, dict) else ("train", entry)
        patterns.setdefault(_name(split), []).extend(map(_path, path if isinstance(path, list) else [path]))
    return patterns


def _name(value: Any) -> str:
    """The name of a configuration or split; any scalar, since YAML reads 2019 or `on` as other types."""
    if not isinstance(value, str | int | float):
        raise TypeError(f"{type(value).__name__} in place of a name")
    return str(value)


def _path(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in place of a path")
    if value.startswith("/") or "\0" in value:
        raise ValueError(f"{value!r} is not a path in the folder")
    return value


def _matches(folder: Path, pattern: str) -> list[Path]:
    try:
        found = sorted(path for path in folder.glob(pattern) if path.is_file())
    except (
        ValueError,
        NotImplementedError,
        IndexError,
        re.error,
    ):  # pathlib's errors for invalid patterns
        raise DataError(
            f"{folder / 'README.md'} names {pattern!r}, which is not a valid path pattern."
        ) from None
    if found:
        return found
    raise NotHere(f"its README.md names {pattern}, which does not exist")


def _usual_files(folder: Path, config: str, split: str) -> list[Path]:
    """Files found by name, in the configuration's folder, `data/` or the repository's root."""
    # Only the default configuration may use files outside its folder, since these belong to no other.
    folders = ("default", "data", ".") if config == "default" else (config,)
    for name in folders:
        if found := sorted(_named_after(split, folder / name)):
            return found
    raise NotHere(f"no file of {config}/{split}, and its README.md declares none")


def _named_after(split: str, folder: Path) -> Iterator[Path]:
    """Data files `<split>.*` and `<split>-*` of a folder."""
    for path in folder.glob(f"{split}[.-]*"):
        if path.name.endswith(SUFFIXES):
            yield path


def _all_shards(paths: list[Path]) -> list[Path]:
    """The paths, if they include all shards that their names count (`-00000-of-00003`)."""
    shards = {path.name: re.search(r"-\d+-of-(\d+)\.", path.name) for path in paths}
    expected = max((int(match[1]) for match in shards.values() if match), default=0)
    if expected > len(paths):
        raise NotHere(f"only {len(paths)} of {expected} files: {', '.join(shards)}")
    return paths
