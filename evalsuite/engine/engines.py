"""Engines by name: entry points of the group `evalsuite.engines`, evalsuite's own among them.

An entry point names an `EngineKind`. Its module is imported when the engine is requested, so that an unused
engine (an HTTP client, vLLM) costs nothing.
"""

from collections.abc import Iterable

from evalsuite.engine.protocol import Engine
from evalsuite.engine.settings import EngineKind, EngineSpec, parse_arguments
from evalsuite.entry_points import EntryPointGroup
from evalsuite.errors import UnknownName

ENGINES = EntryPointGroup("evalsuite.engines", "engine", "engines", EngineKind)


def engine_kind(name: str) -> EngineKind:
    """The kind of engine called `name`.

    Raises:
        UnknownName: no installed package has an engine of this name.
        UserError: the package that provides it cannot be imported, or its entry point names no `EngineKind`.
    """
    return ENGINES.load(name)


def split_arguments(engine: str, arguments: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """An engine's `NAME=VALUE` settings: those that can change an answer, and those that cannot; both sorted.

    Raises:
        UserError: a setting has no `=`, is given twice, or is unknown to the engine.
    """
    kind = engine_kind(engine)
    parsed = parse_arguments(arguments)
    for name in parsed:
        if name not in kind.settings | kind.tuning:
            raise UnknownName("engine setting", name, kind.settings | kind.tuning, _known(engine, kind))
    written = sorted(f"{name}={value}" for name, value in parsed.items())
    tuning = tuple(setting for setting in written if setting.partition("=")[0] in kind.tuning)
    return tuple(setting for setting in written if setting not in tuning), tuning


def _known(engine: str, kind: EngineKind) -> str:
    known = sorted(kind.settings | kind.tuning)
    return (
        f"Engine {engine} takes {', '.join(known)}." if known else f"Engine {engine} takes no --engine-arg."
    )


def make_engine(spec: EngineSpec) -> Engine:
    """The engine that `spec` describes, not yet loaded.

    Raises:
        UnknownName: there is no such engine or setting.
        UserError: a setting is not `NAME=VALUE`, or the engine rejects its value.
    """
    split_arguments(spec.name, spec.arguments)
    return engine_kind(spec.name).make(spec)
