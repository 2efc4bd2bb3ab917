"""`EngineSpec`: which engine to make, with which settings. `EngineKind`: its factory and setting names."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.token_options import MODELS_OWN, TokenOptions
from evalsuite.errors import UserError

if TYPE_CHECKING:
    from evalsuite.engine.protocol import Engine

ANSWERS = {"yes": True, "no": False}

GRAPHS = "graphs"
"""`--engine-arg graphs=no`: generate on a GPU without CUDA graphs.

With graphs (the default) the decode steps, which add a token to every text, are captured and replayed as one
launch. The class of numerics names them (`graphs=cuda` or `graphs=none`), since a captured step has padding
rows and so other last digits. A run with graphs captures what recurs and launches other steps one by one; a
capture that fails during the run leaves more steps to be launched one by one, in the same class. Graphs are
never used on other devices, by models in several parts (`spread`, tensor parallelism), or with
`deterministic=yes`.
"""


@dataclass(frozen=True)
class EngineSpec:
    """Which engine to make, for which model, with which settings; can be sent to another process."""

    name: str
    """The engine's name, as in `--engine`."""
    files: ModelFiles
    """The model, from `evalsuite.checkpoints.resolve`; only its name where the engine needs no files."""
    dtype: str = "auto"
    device: str = "auto"
    logits_dtype: str = "float32"
    """"float32", or "model": log-probabilities rounded to the data type of the model's logits."""
    trust_remote_code: bool = False
    """Let the model's folder run its own code."""
    verify_weights: bool = False
    """Hash every byte of the files again instead of trusting size and modification time."""
    tokens: TokenOptions = MODELS_OWN
    """A tokenizer, prefix token or context window that replaces the model's."""
    arguments: tuple[str, ...] = ()
    """The engine's own settings, each `NAME=VALUE`."""

    @cached_property
    def own(self) -> dict[str, str]:
        """`arguments` by name; raises UserError as `parse_arguments` does."""
        return parse_arguments(self.arguments)

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that an engine's class takes besides the files."""
        return {
            "dtype": self.dtype,
            "device": self.device,
            "logits_dtype": self.logits_dtype,
            "trust_remote_code": self.trust_remote_code,
            "verify_weights": self.verify_weights,
            "tokens": self.tokens,
            "arguments": self.own,
        }


@dataclass(frozen=True)
class EngineKind:
    """An engine's factory and the names of its settings."""

    make: "Callable[[EngineSpec], Engine]"
    """Makes the engine, not yet loaded; raises UserError for a setting that the engine does not accept."""
    settings: frozenset[str] = frozenset()
    """Names of the engine's own settings that can change an answer."""
    tuning: frozenset[str] = frozenset()
    """Names of the engine's own settings that cannot change an answer."""
    needs_files: bool = True
    """Whether the model is files on this machine; otherwise the engine interprets the name in `--model`."""


def parse_arguments(arguments: Iterable[str]) -> dict[str, str]:
    """The values of `NAME=VALUE` settings, by name.

    Raises:
        UserError: a setting has no `=`, or a name is given twice.
    """
    parsed: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not (name and equals):
            raise UserError(f"--engine-arg takes NAME=VALUE, not '{argument}'.")
        if name in parsed:
            raise UserError(f"--engine-arg {name} is given twice.")
        parsed[name] = value
    return parsed


def is_on(arguments: Mapping[str, str], setting: str, *, usually: bool) -> bool:
    """Whether a yes-or-no setting is on in `arguments`; `usually` is its default.

    Raises:
        UserError: the value is neither yes nor no.
    """
    if setting not in arguments:
        return usually
    if arguments[setting] not in ANSWERS:
        raise UserError(f"--engine-arg {setting} must be yes or no, got '{arguments[setting]}'.")
    return ANSWERS[arguments[setting]]
