"""Reads YAML files that users write (recipes, cards, policies) strictly; errors name line and field."""

import difflib
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from evalsuite.errors import UserError, plain_message
from evalsuite.files.yaml_files import BadYaml, GivenTwice, load_yaml


class Strict(BaseModel):
    """An immutable value that is read from a file; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


def read_strict(model: type[Model], file: Traversable | Path, known: dict[str, Any] | None = None) -> Model:
    """The file's mapping as a validated `model`.

    Args:
        model: the model that declares the fields.
        file: a YAML file.
        known: fields that follow from the file's path, such as its name; the file may repeat them.

    Raises:
        UserError: the file cannot be read, is not YAML, gives a key twice, or does not match the model; the
            message names file, line and field.
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


def error_line(error: Exception) -> str:
    """An exception on one line; of a ValidationError only its first error, without pydantic's decoration."""
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    first = error.errors()[0]
    return ": ".join(
        filter(None, (error.title, ".".join(map(str, first["loc"])), plain_message(first["msg"])))
    )


def _sentence(model: type[BaseModel], error: Any, root: yaml.Node | None) -> str:
    """One validation error as a sentence that begins with its line."""
    path = [str(step) for step in error["loc"]]
    line, field = _line(root, path), ".".join(path)
    if error["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"the fields are {', '.join(known)}."
        return f"line {line}: unknown field '{field}'; {hint}"
    if error["type"] == "missing":
        return f"line {line}: the field '{field}' is missing."
    message = plain_message(error["msg"]).removesuffix(".")
    if error["type"] == "value_error":
        return f"line {line}: {f'{field}: ' if field else ''}{message}."
    return f"line {line}: '{field}' is {error['input']!r}: {message[0].lower()}{message[1:]}."


def _line(node: yaml.Node | None, path: list[str]) -> int:
    """The line (from 1) of the deepest part of `path` that the file has."""
    line = 1
    for step in path:
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


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """Names of the fields that a mapping at `path` may have."""
    for step in path:
        annotation = model.model_fields[step].annotation if step in model.model_fields else None
        inner = [kind for kind in _types_in(annotation) if issubclass(kind, BaseModel)]
        model = inner[0] if inner else model
    return list(model.model_fields)


def _types_in(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _types_in(part)]
