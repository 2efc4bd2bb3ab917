"""How many operations attention of a layer takes on a GPU by the cascade, each of which is a launch.

Tensors on torch's `meta` device have shapes alone. The two kernels, which it has not, count as one each.
"""

import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.nn.attention import varlen as torch_varlen

from evalsuite.engine.native.paths import Paths
from evalsuite.engine.native.trees import attention, levels, varlen
from evalsuite.engine.native.trees import tree as trees
from evalsuite.engine.native.trees.tree import tree_of
from tests.engine.native.trees.test_launches import Counted
from tests.engine.native.trees.test_levels import pack_of

HEADS, GROUPS, WIDTH = 32, 8, 128
"""Nemotron-H 8B's."""
SHOTS = 500
NESTED = 9
"""Short nodes above one another, as beginnings of questions share their first words."""


class Launches(Counted):
    """Allocations launch nothing."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count -= "empty" in func.__name__
        return super().__torch_dispatch__(func, types, args, kwargs)


@pytest.fixture
def counted(monkeypatch) -> Launches:
    launches = Launches()

    def kernel(query, key, value, *args, return_aux, scale, window_size, enable_gqa=False):
        launches.count += 1
        return torch.empty_like(query), torch.empty(query.shape[1], len(query), device="meta")

    def merge_in_place(*args) -> None:
        launches.count += 1

    monkeypatch.setattr(torch_varlen, "varlen_attn", kernel)
    monkeypatch.setattr(varlen, "DEVICES", ("meta",))
    merging = "evalsuite.engine.native.trees.kernels.merge"
    monkeypatch.setitem(sys.modules, merging, SimpleNamespace(merge_in_place=merge_in_place))
    return launches


def operations(path: str, launches: Launches) -> int:
    """Of the second layer: the first one also uploads the tables."""
    random = torch.Generator().manual_seed(1)
    rows = []
    for question in range(60):
        words = [*(1000 + at for at in range(question % NESTED)), 2000 + question, *range(90)]
        rows.append((*range(SHOTS), *words, *torch.randint(9, (3,), generator=random).tolist()))
    tree = tree_of(pack_of(rows), "meta", Paths(attention=path))
    query, key, value = (
        torch.empty(1, len(tree.pack), count, WIDTH, dtype=torch.bfloat16, device="meta").transpose(1, 2)
        for count in (HEADS, GROUPS, GROUPS)
    )
    attention._current.tree = tree
    with launches:
        for _layer in range(2):
            launches.count = 0
            attention.tree_attention(torch.nn.Module(), query, key, value, None)
    return launches.count


def test_a_layer_takes_few_launches_however_deep_the_tree(counted, monkeypatch):
    assert operations("levels-flex", counted) == 5  # keys and values gathered, two calls, merged
    by_torch = operations("levels", counted)
    monkeypatch.setattr(trees, "levels_of", partial(levels.levels_of, short=0))
    before = operations("levels", counted)
    assert by_torch <= 13
    assert before >= 66
