"""States of many chunks at once are those of one chunk after the other."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.engine.native.trees import walk as tree_walk
from evalsuite.engine.native.trees import waves
from evalsuite.engine.native.trees.mamba import tree_scan
from evalsuite.engine.native.trees.walk import blocks_of, walk_of
from evalsuite.engine.native.trees.waves import waves_of
from tests.engine.native.trees.test_mamba import some_chunks, some_sequences, tree_over

HEADS, WIDTH, GROUPS, STATE = 4, 3, 2, 5


@settings(deadline=None, max_examples=60)
@given(sequences=some_sequences, chunk=some_chunks, at_once=st.sampled_from([1, 1 << 28]))
def test_a_scan_in_waves_is_the_scan_of_one_chunk_after_the_other(sequences, chunk, at_once):
    tree, _ = tree_over(sequences)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_walk, "CHUNK", chunk)
        patch.setattr(waves, "STATES_AT_ONCE", at_once)
        walk = walk_of(tree)
        together = replace(walk, waves=waves_of(*blocks_of(tree.pack), "cpu"))
        assert walk.waves is None
        assert (together.waves is None) == (not walk.chunks)
        random = torch.Generator().manual_seed(0)
        tokens = len(tree.pack)
        x, dt, B, C = (
            torch.randn(1, tokens, *shape, generator=random)
            for shape in ((HEADS, WIDTH), (HEADS,), (GROUPS, STATE), (GROUPS, STATE))
        )
        inputs = (x, dt, -torch.rand(HEADS, generator=random), B, C, torch.ones(HEADS))
        expected, found = (tree_scan(one, *inputs, dt_softplus=True) for one in (walk, together))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_chain_is_a_wave_for_each_chunk_and_branches_share_one():
    chain = tuple(range(1000))
    rows = [(*chain, *range(start, start + 300)) for start in (2000, 3000, 4000)]
    tree, _ = tree_over(rows)
    found = waves_of(*blocks_of(tree.pack), "cpu")
    # 16 chunks of the prefix (the last one is not full), and 4 chunks of each branch before its last block
    assert len(found.positions) == 16 + 3 * 4
    assert [wave.stop - wave.start for wave, _ in found.passes] == [1] * 15 + [3] * 4
    assert sum(len(one.chunks) for one in found.readers) == 28
