"""Finds the names of lm-eval's tasks, groups and tags without lm-eval's index.

lm-eval 0.4.13 parses 14,000 YAML files with their includes for any task (`tasks/_index.py`, 13 s). Names,
includes and tags are on separate top-level lines, so that a text scan finds them in about a second. The
user's cache folder keeps the result, by version and path of the package.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import yaml

from evalsuite.errors import UserError
from evalsuite.files.caches import cache_folder, replace_json
from evalsuite.files.yaml_files import BadYaml, load_yaml
from evalsuite.types import sha256_of

DefinitionKind = Literal["task", "group", "tag"]
_FORMAT = 1
_KEY = re.compile(r"""^["']?(task|group|include|tag|class)["']?[ \t]*:""", re.MULTILINE)
_NEXT = re.compile(r"^[^\s#-]", re.MULTILINE)
_PLAIN = re.compile(r"\w[\w./-]*")


@dataclass(frozen=True, slots=True)
class Entry:
    """The definition of a name."""

    kind: DefinitionKind
    path: str = ""
    """The YAML file; empty for a tag."""
    members: tuple[str, ...] = ()
    """Tasks of a tag."""


def harness_version() -> str:
    """Version of the installed lm-eval."""
    return metadata.version("lm-eval")


def tasks_folder() -> Path:
    """lm-eval's folder of task definitions, found without importing lm-eval.

    Raises:
        UserError: lm-eval is not installed.
    """
    spec = find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("lm-eval's definitions need the package lm-eval: pip install 'lm-eval>=0.4.13,<0.5'.")
    return Path(spec.submodule_search_locations[0], "tasks")


def names(include: Sequence[Path] = ()) -> dict[str, Entry]:
    """All names of lm-eval, and of additional YAML files, which replace lm-eval's.

    Args:
        include: YAML files or folders of them.
    """
    found = _remembered(tasks_folder())
    for path in include:
        found = {**found, **scan(path)}
    return found


def scan(path: Path) -> dict[str, Entry]:
    """Names that a YAML file, or a folder's YAML files, define; the first definition of a name counts."""
    read: dict[Path, dict[str, list[str]]] = {}
    entries: dict[str, Entry] = {}
    tags: dict[str, list[str]] = {}
    for file in _yaml_files(path):
        fields = _fields(file, read)
        is_group = "group" in fields and "class" not in fields
        for name in fields.get("group" if is_group else "task", ())[:1]:
            if name not in entries:
                entries[name] = Entry("group" if is_group else "task", str(file))
                for tag in () if is_group else fields.get("tag", ()):
                    tags.setdefault(tag, []).append(name)
    for tag, members in tags.items():
        entries.setdefault(tag, Entry("tag", members=tuple(sorted(members))))
    return entries


def is_definition(path: Path) -> bool:
    """Whether a file, or any file of a folder, is a YAML file that defines a task or group of lm-eval."""
    return any({"task", "group"} & _fields(file, {}).keys() for file in _yaml_files(path))


def _yaml_files(path: Path) -> Iterator[Path]:
    if path.is_file():
        return iter([path] if path.suffix in (".yaml", ".yml") else [])
    found = (Path(folder, name) for folder, _, files in os.walk(path) for name in files)
    return iter(sorted((file for file in found if file.suffix == ".yaml"), key=Path.as_posix))


def _fields(path: Path, read: dict[Path, dict[str, list[str]]]) -> dict[str, list[str]]:
    """The scanned keys of a file and of its includes; the file's own keys replace included ones."""
    if path not in read:
        read[path] = {}  # lm-eval itself reports a file that includes itself.
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return {}
        own = {key: _values(value) for key, value in _fragments(text)}
        merged: dict[str, list[str]] = {}
        for name in own.get("include", ()):
            merged |= _fields(path.parent / name, read)
        read[path] = merged | own
    return read[path]


def _fragments(text: str) -> Iterator[tuple[str, str]]:
    """Each scanned key with the text up to the next top-level line."""
    for match in _KEY.finditer(text):
        line_end = text.find("\n", match.end())
        end = _NEXT.search(text, line_end) if line_end >= 0 else None
        yield match[1], text[match.end() : end.start() if end else len(text)]


def _values(text: str) -> list[str]:
    """A scalar or a list as strings; empty if it is neither."""
    plain = text.strip()
    if _PLAIN.fullmatch(plain):
        return [plain]
    try:
        value = load_yaml(text, getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # builds strings only
    except BadYaml:
        return []
    values = value if isinstance(value, list) else [value]
    return [value for value in values if isinstance(value, str) and value]


def _remembered(folder: Path) -> dict[str, Entry]:
    try:
        file = _cache_file(folder)
    except OSError:  # no home folder
        return scan(folder)
    try:
        return {name: Entry(*fields) for name, fields in json.loads(file.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        found = scan(folder)
        _remember(file, {name: [entry.kind, entry.path, entry.members] for name, entry in found.items()})
        return found


def _cache_file(folder: Path) -> Path:
    key = sha256_of([_FORMAT, harness_version(), str(folder), folder.stat().st_mtime_ns])
    return cache_folder("evalsuite") / f"lm_eval_names-{key[:16]}.json"


def _remember(file: Path, content: Mapping[str, object]) -> None:
    """Write the cache; errors are ignored, since a missing cache costs only time."""
    with suppress(OSError):
        replace_json(file, content)
