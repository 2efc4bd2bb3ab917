"""Worked examples read from installed packages at run time; their text is not part of evalsuite."""

import re
from functools import reduce
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from evalsuite.errors import UserError
from evalsuite.prompting.spec import Exemplars
from evalsuite.types import OpenAnswer


class _TagBlindLoader(yaml.SafeLoader):
    """Reads task files that name Python functions by tag (`!function`), without running anything."""


_TagBlindLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


def read_exemplars(exemplars: Exemplars) -> list[OpenAnswer]:
    """The exemplars as questions with worked solutions, in the order of the package's file.

    Raises:
        UserError: the package or the file is not installed, or has another layout.
    """
    path = _installed_file(exemplars)
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=_TagBlindLoader)  # noqa: S506 - a SafeLoader
    try:
        items: Any = reduce(lambda node, key: node[key], exemplars.at.split("."), content)
        return [OpenAnswer(item["question"], (), _replaced(item["target"], exemplars)) for item in items]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{exemplars.package} {metadata.version(exemplars.package)} has no list of exemplars at "
            f"'{exemplars.at}' in {exemplars.file}; install the version that the recipe names."
        ) from error


def _installed_file(exemplars: Exemplars) -> Path:
    try:
        distribution = metadata.distribution(exemplars.package)
    except metadata.PackageNotFoundError:
        raise UserError(
            f"The shots of this prompt are read from the package '{exemplars.package}', which is not "
            f"installed: pip install {exemplars.package}."
        ) from None
    path = Path(str(distribution.locate_file(exemplars.file)))
    if not path.is_file():
        raise UserError(
            f"{exemplars.package} {distribution.version} has no file {exemplars.file}; install the version "
            "that the recipe names."
        )
    return path


def _replaced(target: str, exemplars: Exemplars) -> str:
    for replacement in exemplars.replace:
        target = re.sub(replacement.pattern, replacement.by, target)
    return target
