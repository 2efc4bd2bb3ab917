"""Files in YAML that people write for evalsuite (recipes, cards, policies): read strictly, wrong with line
and field."""

import difflib
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from evalsuite.errors import UserError
from evalsuite.files.yaml_files import BadYaml, GivenTwice, load_yaml


class Strict(BaseModel):
    """A value read from a file: unknown fields are errors, and nothing changes it afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


def read_strict(model: type[Model], file: Traversable | Path, known: dict[str, Any] | None = None) -> Model:
    """The file's mapping as a validated `model`.

    Args:
        model: what the fields are.
        file: a YAML file.
        known: fields that the file's place tells, such as its name; the file may repeat them.

    Raises:
        UserError: the file cannot be read, is no YAML, gives a key twice, or does not fit the model; the
            sentence names file, line and field.
    """
    try:
        text = file.read_text(encoding="utf-8")
        fields = load_yaml(text, unique_keys=True)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    except GivenTwice as error:
        raise UserError(f"{file}, line {error.line}: {error}.") from error
    except BadYaml as error:
        raise UserError(f"{file} is not valid YAML: {error}.") from error
    if not isinstance(fields, dict):
        raise UserError(
            f"{file} must be a mapping of fields, such as '{next(iter(model.model_fields))}: ...'."
        )
    try:
        return model.model_validate({**(known or {}), **fields})
    except ValidationError as error:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        raise UserError(f"{file}, {_sentence(model, error.errors()[0], root)}") from error


def _sentence(model: type[BaseModel], error: Any, root: yaml.Node | None) -> str:
    """One validation error as a sentence that begins with its line."""
    place = [str(step) for step in error["loc"]]
    line, field = _line(root, place), ".".join(place)
    if error["type"] == "extra_forbidden":
        known = _fields_at(model, place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"fields there are {', '.join(known)}."
        return f"line {line}: unknown field '{field}'; {hint}"
    if error["type"] == "missing":
        return f"line {line}: the field '{field}' is missing."
    message = error["msg"].removeprefix("Value error, ").removesuffix(".")
    if error["type"] == "value_error":
        return f"line {line}: {f'{field}: ' if field else ''}{message}."
    return f"line {line}: '{field}' is {error['input']!r}: {message[0].lower()}{message[1:]}."


def _line(node: yaml.Node | None, place: list[str]) -> int:
    """The line of the deepest part of `place` that the file has, counted from 1."""
    line = 1
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
            found = (node.value[int(step)],) * 2
        else:
            found = None
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _fields_at(model: type[BaseModel], place: list[str]) -> list[str]:
    """Names of the fields that a mapping at `place` may have."""
    for step in place:
        annotation = model.model_fields[step].annotation if step in model.model_fields else None
        inner = [one for one in _types_in(annotation) if issubclass(one, BaseModel)]
        model = inner[0] if inner else model
    return list(model.model_fields)


def _types_in(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation]
    return [one for part in get_args(annotation) for one in _types_in(part)]
