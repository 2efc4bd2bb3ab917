"""The lowest version of every requirement in pyproject.toml."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def lowest(requirements: list[str]) -> Iterator[str]:
    """`name==version` for each requirement that names a lowest version, if this machine needs it at all.

    Raises:
        ValueError: two requirements of one package name different lowest versions.
    """
    versions: dict[str, str] = {}
    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate():
            continue
        bounds = [bound.version for bound in requirement.specifier if bound.operator == ">="]
        for version in bounds:
            if versions.setdefault(requirement.name, version) != version:
                raise ValueError(f"pyproject.toml names two lowest versions of {requirement.name}.")
    return (f"{name}=={version}" for name, version in versions.items())


def declared(extras: tuple[str, ...]) -> list[str]:
    """The requirements of evalsuite and of some of its extras, as pyproject.toml states them."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    return sum((project["optional-dependencies"][extra] for extra in extras), list(project["dependencies"]))
