"""Engines by name, and their own settings (`--engine-arg NAME=VALUE`)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.native import deterministic
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.openai import settings as openai_settings
from evalsuite.engine.openai.engine import OpenAIEngine
from evalsuite.engine.protocol import Engine
from evalsuite.engine.settings import GRAPHS
from evalsuite.engine.token_options import MODELS_OWN, TokenOptions
from evalsuite.engine.vllm import settings as vllm_settings
from evalsuite.engine.vllm.engine import VllmEngine
from evalsuite.errors import UnknownName, UserError


@dataclass(frozen=True)
class EngineKind:
    """What has to be known of an engine before one is made."""

    make: Callable[..., Engine]
    """Takes the files and `make_engine`'s keywords; `arguments` only if the engine has some."""
    settings: frozenset[str] = frozenset()
    """Names of its own settings that can change an answer."""
    tuning: frozenset[str] = frozenset()
    """Names of its own settings that cannot."""
    needs_files: bool = True
    """Whether the model is files on this machine; else `--model` is a name that the engine understands."""


ENGINES: dict[str, EngineKind] = {
    "native": EngineKind(TransformersEngine, frozenset({deterministic.SETTING}), tuning=frozenset({GRAPHS})),
    "openai": EngineKind(OpenAIEngine, openai_settings.SETTINGS, openai_settings.TUNING, needs_files=False),
    "vllm": EngineKind(VllmEngine, vllm_settings.SETTINGS, vllm_settings.TUNING),
}


def engine_kind(name: str) -> EngineKind:
    """The kind of engine called `name`; raises UnknownName."""
    if name not in ENGINES:
        raise UnknownName("engine", name, ENGINES, f"Engines are {', '.join(ENGINES)}.")
    return ENGINES[name]


def split_arguments(engine: str, arguments: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`NAME=VALUE` of an engine: those that can change an answer, and those that cannot; both sorted.

    Raises:
        UserError: no `=`, a name twice, or one that the engine does not know.
    """
    kind = engine_kind(engine)
    parsed = parse_arguments(arguments)
    for name in parsed:
        if name not in kind.settings | kind.tuning:
            raise UnknownName("engine setting", name, kind.settings | kind.tuning, _known(engine, kind))
    written = sorted(f"{name}={value}" for name, value in parsed.items())
    tuning = tuple(one for one in written if one.partition("=")[0] in kind.tuning)
    return tuple(one for one in written if one not in tuning), tuning


def parse_arguments(arguments: Iterable[str]) -> dict[str, str]:
    """`NAME=VALUE` by name.

    Raises:
        UserError: no `=`, or a name twice.
    """
    parsed: dict[str, str] = {}
    for one in arguments:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise UserError(f"--engine-arg takes NAME=VALUE, not '{one}'.")
        if name in parsed:
            raise UserError(f"--engine-arg {name} is given twice.")
        parsed[name] = value
    return parsed


def _known(engine: str, kind: EngineKind) -> str:
    known = sorted(kind.settings | kind.tuning)
    return (
        f"Engine {engine} takes {', '.join(known)}." if known else f"Engine {engine} takes no --engine-arg."
    )


def make_engine(
    name: str,
    files: ModelFiles,
    *,
    dtype: str,
    device: str,
    trust_remote_code: bool,
    verify_weights: bool,
    logits_dtype: str = "float32",
    tokens: TokenOptions = MODELS_OWN,
    arguments: Sequence[str] = (),
) -> Engine:
    """The engine called `name`, not yet loaded; `arguments` are its own settings, each `NAME=VALUE`.

    Raises:
        UnknownName: there is no such engine or setting.
        UserError: a setting that is no `NAME=VALUE`.
    """
    kind = engine_kind(name)
    split_arguments(name, arguments)
    own = {"arguments": parse_arguments(arguments)} if kind.settings | kind.tuning else {}
    return kind.make(
        files,
        dtype=dtype,
        device=device,
        trust_remote_code=trust_remote_code,
        verify_weights=verify_weights,
        logits_dtype=logits_dtype,
        tokens=tokens,
        **own,
    )
