"""A tile that is left out has no pair, and a full one has every pair."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.trees import tiles as tile_tables
from evalsuite.engine.native.trees.tiles import tiles_of
from tests.engine.native.trees.test_levels import REACHES, pack_of, seen, sequences


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch) -> None:
    monkeypatch.setattr(tile_tables, "TILE", 3)


def by_tile(matrix: np.ndarray, size: int) -> np.ndarray:
    """(tiles, tiles, 9): the pairs of each tile."""
    padded = np.pad(matrix, (0, size - len(matrix)))
    return padded.reshape(size // 3, 3, size // 3, 3).swapaxes(1, 2).reshape(size // 3, size // 3, 9)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequences, st.sampled_from(REACHES), st.integers(0, 2))
def test_tiles_hold_every_pair_and_full_ones_nothing_else(rows, reach, more):
    pack = pack_of(rows)
    size = 3 * (-(-len(pack) // 3) + more)
    tiles, pairs = tiles_of(pack, reach, size), by_tile(seen(pack, reach), size)
    assert pairs[tiles.full].all()
    assert not pairs[~(tiles.partial | tiles.full)].any()
    assert not (tiles.partial & tiles.full).any()
    assert not np.triu(tiles.partial | tiles.full, 1).any()
    if not reach.is_limited:
        assert pairs[tiles.partial].any(-1).all()
        real = np.arange(len(pairs)) * 3 + 3 <= len(pack)
        assert (tiles.full[real] == pairs[real].all(-1)).all()


def test_a_window_leaves_out_what_lies_further_back():
    pack = pack_of([tuple(range(30))])
    tiles = tiles_of(pack, Reach(4), 30)
    assert tiles.visited == 10 + 9
    assert not tiles.full.any()
    assert tiles_of(pack, Reach(7), 30).full.sum() == 9
    assert tiles.of_causal == 55 / 19


def test_branches_do_not_see_each_other():
    tiles = tiles_of(pack_of([(0, 0, 0, *range(branch, branch + 6)) for branch in (1, 2, 3)]), Reach(), 21)
    assert tiles.full.sum(1).tolist() == [0, 1, 2, 1, 2, 1, 2]
    assert tiles.partial.sum() == 7
