"""Right padding that does not change the states of recurrent layers."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from evalsuite.engine.native.slots.cache import Pass
from evalsuite.engine.native.trees.functions import DELTA_RULES, Function, replaced

NO_STEP = -1e4
"""Raw time step of a padding token: softplus turns it into exactly 0, which leaves the state unchanged."""


def is_mamba2(module: Any) -> bool:
    """Whether `module` is a Mamba-2 mixer, whose last `num_heads` input features are the raw time steps."""
    return all(
        hasattr(module, name) for name in ("A_log", "dt_bias", "in_proj", "num_heads", "time_step_limit")
    )


@contextlib.contextmanager
def counted_delta_rules(model: Any) -> Iterator[list[str]]:
    """Within this context the list gets the name of each gated delta rule that the model computes."""
    called: list[str] = []

    def counting(name: str) -> Any:
        def make(original: Function) -> Function:
            called.append(name)
            return original

        return make

    with replaced(model, {name: counting(name) for name in DELTA_RULES}):
        yield called


@contextlib.contextmanager
def still_padding(model: Any, mixers: Sequence[Any], now: Pass) -> Iterator[None]:
    """Within this context right padding changes no state of Mamba-2 mixers and gated delta rules."""
    if now.lengths is None:
        yield
        return
    # (rows, tokens): True at padding
    beyond = torch.arange(now.length, device=now.lengths.device) >= now.lengths[:, None]

    def on(part: torch.Tensor) -> torch.Tensor:
        return beyond.to(part.device)

    def stop_time(mixer: Any) -> Any:
        def hook(module: Any, inputs: Any, projected: torch.Tensor) -> torch.Tensor:
            projected[..., -mixer.num_heads :].masked_fill_(on(projected)[..., None], NO_STEP)
            return projected

        return mixer.in_proj.register_forward_hook(hook)

    def still_rule(original: Function) -> Function:
        def rule(*args: Any, g: torch.Tensor, beta: torch.Tensor, **options: Any) -> Any:
            """At padding, nothing decays (g = 0) and nothing is written (beta = 0)."""
            g, beta = (
                part.masked_fill(on(part).view(*beyond.shape, *[1] * (part.ndim - 2)), 0)
                for part in (g, beta)
            )
            return original(*args, g=g, beta=beta, **options)

        return rule

    handles = [stop_time(mixer) for mixer in mixers]
    try:
        with replaced(model, dict.fromkeys(DELTA_RULES, still_rule)):
            yield
    finally:
        for handle in handles:
            handle.remove()
