"""Paths that a program may read: the standard library, common libraries, and files of the C library."""

import glob
import importlib.util
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass

LIBRARIES = (
    "numpy",
    "scipy",
    "sympy",
    "mpmath",
    "pandas",
    "dateutil",
    "pytz",
    "six",
    "regex",
    "sortedcontainers",
    "networkx",
    "more_itertools",
)
"""Libraries that programs may import besides the standard library, if they are installed.

This is a fixed list, since other installed packages may contain benchmarks with their answers.
"""

_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo")


@dataclass(frozen=True, slots=True)
class Readable:
    """Absolute paths that programs may read."""

    shown: tuple[str, ...]
    """Folders and files that may be read."""
    hidden: tuple[str, ...]
    """Folders of installed packages in `shown`, of which only paths in `shown` may be read."""
    sites: tuple[str, ...]
    """Folders of the shown libraries, for the module search path."""


def readable() -> Readable:
    """The paths for the running interpreter, found without importing a library."""
    libraries = [path for name in LIBRARIES for path in _installed(name)]
    sites = dict.fromkeys(os.path.dirname(path) for path in libraries)
    roots = dict.fromkeys(
        [*_SYSTEM, *(os.path.dirname(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))]
    )
    hidden = [
        path
        for root in roots
        for kind in ("site-packages", "dist-packages")
        for path in glob.glob(f"{root}/python3*/{kind}")
    ]
    targets = [target for path in libraries for target in _targets(path)]
    shown = dict.fromkeys([*roots, *_FILES, *libraries, *targets])
    return Readable(tuple(shown), tuple(dict.fromkeys(hidden)), tuple(sites))


def installed_libraries() -> list[str]:
    """Those of LIBRARIES that this interpreter finds."""
    return [name for name in LIBRARIES if _installed(name)]


def _targets(path: str) -> Iterator[str]:
    """Where the files are if a package is a link (Nix, Bazel), or each of its files is (uv, on request)."""
    yield os.path.realpath(path)
    if os.path.isdir(path):
        with os.scandir(path) as entries:
            links = [entry.path for entry in entries if entry.is_symlink()]
        folders = dict.fromkeys(os.path.dirname(os.path.realpath(link)) for link in links)
        # Only a folder of the same name: any other link would show programs what is no library.
        yield from (folder for folder in folders if os.path.basename(folder) == os.path.basename(path))


def _installed(name: str) -> list[str]:
    """The files of a library: its package or module, and the shared objects of its wheel."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return []
    if spec is None or spec.origin is None:
        return []
    path = spec.submodule_search_locations[0] if spec.submodule_search_locations else spec.origin
    beside = os.path.join(os.path.dirname(path), f"{name}.libs")
    return [path, beside] if os.path.isdir(beside) else [path]
