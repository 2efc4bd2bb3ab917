"""Engines by name."""

from collections.abc import Callable

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.protocol import Engine
from evalsuite.engine.transformers_engine import TransformersEngine
from evalsuite.errors import UnknownName

ENGINES: dict[str, Callable[..., Engine]] = {"native": TransformersEngine}


def make_engine(
    name: str,
    files: ModelFiles,
    *,
    dtype: str,
    device: str,
    trust_remote_code: bool,
    verify_weights: bool,
    logits_dtype: str = "float32",
) -> Engine:
    """The engine called `name`, not yet loaded; raises UnknownName."""
    if name not in ENGINES:
        raise UnknownName("engine", name, ENGINES, f"Engines are {', '.join(ENGINES)}.")
    return ENGINES[name](
        files,
        dtype=dtype,
        device=device,
        trust_remote_code=trust_remote_code,
        verify_weights=verify_weights,
        logits_dtype=logits_dtype,
    )
