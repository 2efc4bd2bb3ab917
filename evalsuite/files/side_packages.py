"""Packages that cannot be installed beside evalsuite's own, each in a folder of its own.

nvidia-lm-eval installs the modules of lm-eval, and math-verify 0.9 replaces the 0.7 that the Nemotron-H cards
need. `pip install --target` puts such a package into `<packages folder>/<name>-<version>`; evalsuite reads
its files there, or gives the folder to a process of its own.
"""

import os
from importlib import metadata
from pathlib import Path

from evalsuite.errors import UserError
from evalsuite.files.caches import cache_folder

VARIABLE = "EVALSUITE_PACKAGES"
"""Environment variable with another folder than `packages` in evalsuite's cache."""
_BESIDE = {"math-verify": ("latex2sympy2_extended==1.11.0",)}
"""Requirements to install together with a package, by its name."""


def side_package(name: str, version: str, purpose: str) -> metadata.Distribution:
    """The installed distribution of exactly this version: evalsuite's own environment, or its side folder.

    Args:
        name: the distribution (`nvidia-lm-eval`).
        version: its version.
        purpose: what needs it, as the subject of the error's sentence.

    Raises:
        UserError: it is not installed; the message has the command that installs it.
    """
    try:
        own = metadata.distribution(name)
        if own.version == version:
            return own
    except metadata.PackageNotFoundError:
        pass
    for found in metadata.distributions(name=name, path=[str(_folder(name, version))]):
        if found.version == version:
            return found
    raise UserError(
        f"{purpose} {name} {version}, which cannot be installed beside evalsuite's own packages: "
        f"{install_command(name, version)}"
    )


def install_command(name: str, version: str) -> str:
    """The command that installs the package into its folder, with what it needs there."""
    requirements = " ".join((f"{name}=={version}", *_BESIDE.get(name, ())))
    return f"pip install --no-deps --target {_folder(name, version)} {requirements}"


def import_path(name: str, version: str, purpose: str) -> tuple[str, ...]:
    """Folders that a process must search first to import this version; empty if it finds it anyway.

    Raises:
        UserError: as `side_package`.
    """
    found = Path(str(side_package(name, version, purpose).locate_file(""))).resolve()
    return (str(found),) if found == _folder(name, version).resolve() else ()


def _folder(name: str, version: str) -> Path:
    base = os.environ.get(VARIABLE)
    try:
        packages = Path(base) if base else cache_folder("evalsuite") / "packages"
    except OSError as error:
        raise UserError(f"There is no folder for packages ({error}); set {VARIABLE} to one.") from None
    return packages / f"{name}-{version}"
