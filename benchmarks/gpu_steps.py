"""The time of a decode step by itself, for `gpu.py`: by rows and implementation, with and without graphs."""

import functools
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from gpu_tables import measured
from launches import wait
from random_model import RandomEngine

from evalsuite.engine.native.differences import difference_of
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.memory import free_memory
from evalsuite.engine.native.paths import PLAIN, Paths, usable
from evalsuite.engine.native.slots.cache import Prefix
from evalsuite.engine.native.slots.forward import SlotModel, Slots
from evalsuite.engine.native.slots.graphs import WANTED

STEP_COLUMNS = (
    "rows",
    "paths",
    "ms a step",
    "tokens/s",
    "ms with graphs",
    "tokens/s with graphs",
    "recorded",
    "difference",
)
STEP_PARTS = ("steps", "slot_attention")
"""Parts of `Paths` whose implementations are compared step by step."""
STEP_ROWS = (1, 4, 8, 16, 32, 64, 128)
PREFIX, OWN, STEPS = 1024, 24, 96
"""Tokens of the prefix and of each prompt, and number of timed steps; together within one `ROOM_STEP`."""


def step_rows(engine: RandomEngine) -> Iterator[tuple[str, ...]]:
    """The time of a step by number of rows and paths: launched one by one, and replayed if possible."""
    model = SlotModel.of(engine.model.loaded)
    with torch.inference_mode():
        prefix = model.prefix(tuple(7 + at % 50 for at in range(PREFIX)))
    counts = STEP_ROWS[: None if engine.device.startswith("cuda") else 3]
    for count, paths in itertools.product(counts, _step_paths(engine.model.loaded)):
        on_paths = replace(model, loaded=replace(model.loaded, paths=paths))
        names = " ".join(f"{part}={getattr(paths, part)}" for part in STEP_PARTS)
        timed = functools.partial(_timed, on_paths, count, prefix, engine)
        yield measured((str(count), names), len(STEP_COLUMNS), timed, free_memory)


@torch.inference_mode()
def _timed(model: SlotModel, count: int, prefix: Prefix, engine: RandomEngine) -> tuple[str, ...]:
    """A row behind the names of its paths."""
    use = engine.generator.graphing
    prompts = [tuple(11 + (at * row) % 50 for at in range(OWN)) for row in range(count)]
    plain, last = _step_seconds(Slots(model, count), prefix, prompts, engine.device)
    cells = (f"{1000 * plain:.2f}", f"{count / plain:,.0f}")
    if use is None or use.refused:
        return (*cells, "—", "—", use.refused if use else "no GPU", "")
    before = use.recorded
    replayed, again = _step_seconds(Slots(model, count, use), prefix, prompts, engine.device)
    cells += (f"{1000 * replayed:.2f}", f"{count / replayed:,.0f}")
    return (*cells, str(use.recorded - before), use.refused or f"{difference_of(again, last):.2g}")


def _step_paths(loaded: LoadedModel) -> list[Paths]:
    """The engine's paths, and those with each other usable implementation of one part of a decode step."""
    others = [
        loaded.paths.using(part, name)
        for part in STEP_PARTS
        for name in (*usable(part, loaded.device, loaded.dtype), getattr(PLAIN, part))
    ]
    return list(dict.fromkeys((loaded.paths, *others)))


def _step_seconds(
    slots: Slots, prefix: Prefix, prompts: Sequence[tuple[int, ...]], device: str
) -> tuple[float, torch.Tensor]:
    """Of one step, the first ones and those that are recorded not counted; and the last logits."""
    slots.prefill(prefix, prompts)
    tokens = torch.arange(len(prompts), device=device) + 3
    for _ in range(2 * WANTED):
        logits = slots.decode(tokens)
    wait(device)
    began = time.perf_counter()
    for _ in range(STEPS):
        logits = slots.decode(tokens)
    wait(device)
    return (time.perf_counter() - began) / STEPS, logits.clone()
