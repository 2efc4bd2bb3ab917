"""What an engine is made from: `EngineSpec`, and what has to be known of an engine before it is made:
`EngineKind`."""

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
"""`--engine-arg graphs=no`: texts on a GPU without CUDA graphs.

With them (the default) the passes that add a token to every text are recorded and replayed as one launch. No
request's key names this: like the number of rows at work it decides how a pass is cut, and so the last digits
of its logits. They are never used on other devices, by models in several parts (`spread`, tensor
parallelism), or with `deterministic=yes`.
"""


@dataclass(frozen=True)
class EngineSpec:
    """Which engine to make, for which model, and how; a value that can be sent to another process."""

    name: str
    """As `--engine` names it."""
    files: ModelFiles
    """The model, from `evalsuite.checkpoints.resolve`; its name alone where the engine needs no files."""
    dtype: str = "auto"
    device: str = "auto"
    logits_dtype: str = "float32"
    """"float32", or "model": log-probabilities rounded to the data type in which the model gives logits."""
    trust_remote_code: bool = False
    """Let the model's folder run code of its own."""
    verify_weights: bool = False
    """Hash every byte of the files again instead of trusting size and time."""
    tokens: TokenOptions = MODELS_OWN
    """Another tokenizer, prefix token or context window than the model's."""
    arguments: tuple[str, ...] = ()
    """The engine's own settings, each `NAME=VALUE`."""

    @cached_property
    def own(self) -> dict[str, str]:
        """`arguments` by name; raises UserError as `parse_arguments` does."""
        return parse_arguments(self.arguments)

    @property
    def options(self) -> dict[str, Any]:
        """The keywords that an engine's class takes beside the files."""
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
    """What has to be known of an engine before it is made."""

    make: "Callable[[EngineSpec], Engine]"
    """Makes the engine, not yet loaded; raises UserError for a setting that it does not take."""
    settings: frozenset[str] = frozenset()
    """Names of its own settings that can change an answer."""
    tuning: frozenset[str] = frozenset()
    """Names of its own settings that cannot."""
    needs_files: bool = True
    """Whether the model is files on this machine; else `--model` is a name that the engine understands."""


def parse_arguments(arguments: Iterable[str]) -> dict[str, str]:
    """`NAME=VALUE` by name.

    Raises:
        UserError: no `=`, or a name twice.
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
    """Whether a yes-or-no setting is on in `arguments`; `usually` where they do not name it.

    Raises:
        UserError: neither yes nor no.
    """
    if setting not in arguments:
        return usually
    if arguments[setting] not in ANSWERS:
        raise UserError(f"--engine-arg {setting} must be yes or no, got '{arguments[setting]}'.")
    return ANSWERS[arguments[setting]]
