"""How many operations torch's scan of a large pack takes, each of which a GPU launches by itself.

Tensors on torch's `meta` device have shapes alone, so that the full size of Nemotron-H 8B costs nothing.
"""

from dataclasses import fields, is_dataclass, replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from evalsuite.engine.native.trees import walk as tree_walk
from evalsuite.engine.native.trees.mamba import tree_scan
from evalsuite.engine.native.trees.walk import blocks_of, walk_of
from evalsuite.engine.native.trees.waves import waves_of
from tests.engine.native.trees.test_mamba import tree_over

HEADS, WIDTH, GROUPS, STATE = 128, 64, 8, 128
SHOTS, QUESTIONS, LENGTH = 1500, 120, 110
"""A pack of five-shot questions."""


class Counted(TorchDispatchMode):
    """Counts the operations that compute or copy; views launch nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def on_meta(value):
    """The value with every tensor in it on the meta device."""
    if isinstance(value, torch.Tensor):
        return value.to("meta")
    if isinstance(value, list):
        return [on_meta(one) for one in value]
    if isinstance(value, tuple):
        return tuple(map(on_meta, value))
    if is_dataclass(value):
        return replace(value, **{one.name: on_meta(getattr(value, one.name)) for one in fields(value)})
    return value


@pytest.fixture(scope="module")
def walk():
    shots = tuple(range(SHOTS))
    rows = [(*shots, *(2000 + row + at for at in range(LENGTH))) for row in range(0, 1000 * QUESTIONS, 1000)]
    tree, _ = tree_over(rows)
    return on_meta(replace(walk_of(tree), waves=waves_of(*blocks_of(tree.pack), "cpu")))


def operations(walk) -> int:
    tokens = SHOTS + QUESTIONS * LENGTH
    x, dt = torch.empty(1, tokens, HEADS, WIDTH, device="meta"), torch.empty(1, tokens, HEADS, device="meta")
    B = torch.empty(1, tokens, GROUPS, STATE, device="meta")
    with Counted() as counted:
        tree_scan(walk, x, dt, torch.empty(HEADS, device="meta"), B, B, dt_softplus=True)
    return counted.count


def test_a_gpu_computes_many_blocks_in_one_launch(walk, monkeypatch):
    """A layer of Nemotron-H 8B, a pack of 14,700 tokens."""
    for_a_gpu = operations(walk)
    monkeypatch.setattr(tree_walk, "GPU_WEIGHTS_AT_ONCE", tree_walk.WEIGHTS_AT_ONCE)
    for_a_cpu = operations(replace(walk, waves=None))
    assert for_a_gpu <= 250
    assert for_a_cpu >= 5500
