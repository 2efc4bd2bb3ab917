"""Largest differences of the kernels from float64, on random inputs, random trees and random slots.

Results of float64 are rounded to the inputs' data type where models round them in the middle: a norm before
its weight, an activation before its product, the two products of a rotation.

    python -m tests.engine.native.kernels.differences

prints the table of docs/performance.md, on a GPU if there is one; without one, Triton's interpreter runs the
kernels (TRITON_INTERPRET=1).
"""

from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from tests.engine.native.kernels.test_decode_updates import by_definition, slots_of
from tests.engine.native.kernels.where import DEVICE, tables_over, there

from evalsuite.engine.native.kernels.pointwise.functions import (  # isort: skip  (needs Triton)
    activated,
    rms_norm,
    rotated,
)
from evalsuite.engine.native.slots.kernels.conv_update import conv_update  # isort: skip
from evalsuite.engine.native.slots.kernels.state_update import state_update  # isort: skip
from evalsuite.engine.native.trees.kernels.conv import path_conv  # isort: skip
from evalsuite.engine.native.trees.kernels.scan import path_scan  # isort: skip

Compared = tuple[torch.Tensor, torch.Tensor]
"""A kernel's result, and that of float64."""

HEADS, WIDTH, GROUPS, STATE, CHANNELS, TOKENS = 12, 16, 3, 24, 96, 30
STEPS, ROWS, SLOTS = 4, 5, 9
"""Decode steps after each other, rows of each, and the slots from which their own are drawn."""


def compared(kernel: str, dtype: torch.dtype, seed: int) -> Compared:
    """A kernel's result on random inputs of a data type, and float64's from the same inputs."""
    random = torch.Generator().manual_seed(seed)
    return KERNELS[kernel](lambda *shape: torch.randn(shape, generator=random).to(dtype), random)


def difference(kernel: str, dtype: torch.dtype, seeds: range) -> float:
    """Largest difference of a kernel from float64, as a share of float64's largest result."""
    return max(
        float((found.double().cpu() - exact).abs().max() / exact.abs().max())
        for found, exact in (compared(kernel, dtype, seed) for seed in seeds)
    )


def rounded_as(inputs: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """Values as the inputs' data type holds them, in float64."""
    return exact.to(inputs.dtype).double()


def random_tree(random: torch.Generator) -> list[tuple[int, ...]]:
    """Sequences that branch off each other at random positions."""
    sequences = [tuple(range(100))]
    for index in range(1, 6):
        trunk = sequences[int(torch.randint(len(sequences), (), generator=random))]
        kept = int(torch.randint(1, len(trunk) + 1, (), generator=random))
        length = int(torch.randint(1, 90, (), generator=random))
        sequences.append((*trunk[:kept], *(1000 * index + step for step in range(length))))
    return sequences


def _scan(randn: Callable[..., torch.Tensor], random: torch.Generator) -> Compared:
    tables, walk, tokens = tables_over(random_tree(random))
    inputs = {
        "hidden_states": randn(1, tokens, HEADS, WIDTH),
        "dt": randn(1, tokens, HEADS) - 1,
        "A": -torch.rand(HEADS, generator=random) - 0.1,
        "B": randn(1, tokens, GROUPS, STATE),
        "C": randn(1, tokens, GROUPS, STATE),
        "D": randn(HEADS),
        "dt_bias": randn(HEADS),
    }
    return path_scan(tables, **there(inputs), dt_softplus=True), _exact_scan(walk.parents, **inputs)


def _exact_scan(parents: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
    """The recurrence's definition, token by token."""
    x, dt, B, C = (inputs[name][0].double() for name in ("hidden_states", "dt", "B", "C"))
    steps = functional.softplus(dt + inputs["dt_bias"].double())
    decays = torch.exp(steps * inputs["A"].double())
    B, C = (part.repeat_interleave(HEADS // GROUPS, 1) for part in (B, C))
    states = torch.zeros(len(x) + 1, HEADS, STATE, WIDTH, dtype=torch.float64)
    for token, parent in enumerate(parents[:-1].tolist()):
        written = torch.einsum("h,hn,hp->hnp", steps[token], B[token], x[token])
        states[token] = decays[token][:, None, None] * states[parent] + written
    read = torch.einsum("thn,thnp->thp", C, states[:-1])
    return (read + inputs["D"].double()[:, None] * x)[None]


def _conv(randn: Callable[..., torch.Tensor], random: torch.Generator) -> Compared:
    tables, walk, tokens = tables_over(random_tree(random))
    x, weight, bias = randn(1, CHANNELS, tokens), randn(CHANNELS, 4), randn(CHANNELS)
    rows = functional.pad(x[0].T.double(), (0, 0, 0, 1))
    exact, at = bias.double().expand(tokens, -1), torch.arange(tokens)
    for tap in range(4):
        exact, at = exact + rows[at] * weight[:, 3 - tap].double(), walk.parents[at]
    found = path_conv(tables, x.to(DEVICE), weight.to(DEVICE), bias.to(DEVICE), activation="silu")
    return found, functional.silu(exact).T[None]


def _state_update(randn: Callable[..., torch.Tensor], random: torch.Generator) -> Compared:
    held = torch.randn(SLOTS, HEADS, WIDTH, STATE, generator=random)  # float32 whatever the inputs are
    states, held = held.double(), held.to(DEVICE)
    slopes, D, bias = -torch.rand(HEADS, generator=random) - 0.1, randn(HEADS), randn(HEADS)
    found, exact = [], []
    for _ in range(STEPS):
        inputs = {
            "hidden_states": randn(ROWS, HEADS, WIDTH),
            "dt": randn(ROWS, HEADS) - 1,
            "A": slopes,
            "B": randn(ROWS, GROUPS, STATE),
            "C": randn(ROWS, GROUPS, STATE),
            "D": D,
            "dt_bias": bias,
            "slots": slots_of(ROWS, SLOTS, random),
        }
        output, states[inputs["slots"]] = by_definition(
            states, **inputs, dt_softplus=True, dt_limit=(0.0, float("inf"))
        )
        found.append(state_update(held, **there(inputs), dt_softplus=True))
        exact.append(output)
    return torch.cat(found), torch.cat(exact)


def _conv_update(randn: Callable[..., torch.Tensor], random: torch.Generator) -> Compared:
    kept, weight, bias = randn(SLOTS, CHANNELS, 4), randn(CHANNELS, 4), randn(CHANNELS)
    held = kept.to(DEVICE, copy=True)
    found, exact = [], []
    for _ in range(STEPS):
        new, slots = randn(ROWS, CHANNELS, 1), slots_of(ROWS, SLOTS, random)
        kept[slots] = torch.cat([kept[slots], new], dim=-1)[..., 1:]
        read = (kept[slots].double() * weight.double()).sum(-1, keepdim=True) + bias.double()[:, None]
        on_device = [part.to(DEVICE) for part in (weight, bias)]
        found.append(conv_update(new.to(DEVICE), held, *on_device, "silu", slots.to(DEVICE)))
        exact.append(functional.silu(read))
    return torch.cat(found), torch.cat(exact)


def _norm(randn: Callable[..., torch.Tensor], random: torch.Generator) -> Compared:
    x, weight = randn(TOKENS, CHANNELS), randn(CHANNELS)
    exact = weight.double() * rounded_as(x, functional.rms_norm(x.double(), (CHANNELS,), eps=1e-5))
    return rms_norm(x.to(DEVICE), weight.to(DEVICE), 1e-5, rounded=True), exact


def _gated_norm(randn: Callable[..., torch.Tensor], random: torch.Generator) -> Compared:
    x, gate, weight = randn(TOKENS, CHANNELS), randn(TOKENS, CHANNELS), randn(CHANNELS)
    gated = (x.double() * functional.silu(gate.double())).view(TOKENS, 3, -1)
    exact = weight.double() * rounded_as(x, functional.rms_norm(gated, (CHANNELS // 3,), eps=1e-5).flatten(1))
    found = rms_norm(x.to(DEVICE), weight.to(DEVICE), 1e-5, rounded=True, gate=gate.to(DEVICE), groups=3)
    return found, exact


def _squared_relu(randn: Callable[..., torch.Tensor], random: torch.Generator) -> Compared:
    x = randn(TOKENS, CHANNELS)
    return activated(x.to(DEVICE), "squared_relu"), x.double().relu().square()


def _swiglu(randn: Callable[..., torch.Tensor], random: torch.Generator) -> Compared:
    x, factor = randn(TOKENS, CHANNELS), randn(TOKENS, CHANNELS)
    exact = rounded_as(x, functional.silu(x.double())) * factor.double()
    return activated(x.to(DEVICE), "silu", factor.to(DEVICE)), exact


def _rotary(randn: Callable[..., torch.Tensor], random: torch.Generator) -> Compared:
    q, k = randn(1, 4, TOKENS, 32), randn(1, 4, TOKENS, 32)
    angles = torch.rand((1, TOKENS, 16), generator=random).repeat(1, 1, 2) * 6
    cos, sin = angles.cos().to(q), angles.sin().to(q)
    found = rotated(*(part.to(DEVICE) for part in (q, k, cos, sin)), rounded=True)
    exact = []
    for part in (q.double(), k.double()):
        first, second = part.chunk(2, dim=-1)
        crossed = torch.cat((-second, first), dim=-1) * sin.double()
        exact.append(rounded_as(q, part * cos.double()) + rounded_as(q, crossed))
    return torch.cat(found), torch.cat(exact)


KERNELS: dict[str, Callable[..., Compared]] = {
    "scan": _scan,
    "convolution": _conv,
    "scan of a decode step": _state_update,
    "convolution of a decode step": _conv_update,
    "RMS norm": _norm,
    "gated RMS norm": _gated_norm,
    "squared ReLU": _squared_relu,
    "SwiGLU": _swiglu,
    "rotary embedding": _rotary,
}


def table(seeds: range) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| kernel | float32 | bfloat16 |"
    yield "| --- | ---: | ---: |"
    for kernel in KERNELS:
        shares = (difference(kernel, dtype, seeds) for dtype in (torch.float32, torch.bfloat16))
        yield f"| {kernel} | {' | '.join(f'{share:.1e}' for share in shares)} |"


if __name__ == "__main__":
    print(*table(range(5)), sep="\n")
