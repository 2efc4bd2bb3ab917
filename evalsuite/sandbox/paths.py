"""What a program may read: the standard library, a list of common libraries, and what the C library needs."""

import glob
import importlib.util
import os
import sysconfig
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
"""What programs may import besides the standard library, where it is installed.

A list, and not all that is installed: packages that carry benchmarks carry their answers.
"""

_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo")


@dataclass(frozen=True, slots=True)
class Readable:
    """Absolute paths."""

    shown: tuple[str, ...]
    """Folders and files that may be read."""
    hidden: tuple[str, ...]
    """Folders of installed packages among them, which may not be read except for what `shown` names."""
    sites: tuple[str, ...]
    """Folders of the shown libraries, for the module search path."""


def readable() -> Readable:
    """For the running interpreter; no library is imported."""
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
    return Readable((*roots, *_FILES, *libraries), tuple(dict.fromkeys(hidden)), tuple(sites))


def _installed(name: str) -> list[str]:
    """The files of a library: its package or module, and the shared objects that its wheel carries beside
    it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return []
    if spec is None or spec.origin is None:
        return []
    path = spec.submodule_search_locations[0] if spec.submodule_search_locations else spec.origin
    beside = os.path.join(os.path.dirname(path), f"{name}.libs")
    return [path, beside] if os.path.isdir(beside) else [path]
