"""How far back layers see."""

from types import SimpleNamespace

import pytest
import torch

from evalsuite.engine.native.reach import Reach, reach_of

REACHES = [Reach(), Reach(window=1), Reach(window=4), Reach(chunk=1), Reach(chunk=4)]


def test_a_window_moves_with_the_token_and_a_chunk_does_not():
    assert [Reach(window=4).first(query) for query in (3, 4, 7, 8)] == [0, 1, 4, 5]
    assert [Reach(chunk=4).first(query) for query in (3, 4, 7, 8)] == [0, 4, 4, 8]
    assert [Reach().first(query) for query in (3, 8)] == [0, 0]


@pytest.mark.parametrize("reach", REACHES)
def test_numbers_and_tensors_are_answered_alike(reach):
    depths = torch.arange(10)
    seen = reach.sees(depths[:, None], depths)
    assert seen.tolist() == [[reach.sees(query, key) for key in range(10)] for query in range(10)]
    assert reach.is_limited == (not seen.tril().equal(torch.ones(10, 10, dtype=torch.bool).tril()))


@pytest.mark.parametrize("reach", REACHES)
def test_a_stretch_that_is_not_cut_is_seen_whole(reach):
    for deepest in range(9):
        for length in range(1, deepest + 2):
            if not reach.cuts(length, deepest):
                assert all(
                    reach.sees(query, key)
                    for first in range(deepest - length + 2)
                    for query in range(first, first + length)
                    for key in range(first, query + 1)
                )


def test_a_layer_tells_its_window_in_the_call_and_its_chunks_in_its_configuration():
    config = SimpleNamespace(layer_types=["chunked_attention", "full_attention"], attention_chunk_size=8)
    layers = [SimpleNamespace(config=config, layer_idx=at) for at in range(3)]
    assert [reach_of(layer, None) for layer in layers] == [Reach(chunk=8), Reach(), Reach()]
    assert reach_of(layers[0], 5) == Reach(window=5)
    assert reach_of(SimpleNamespace(), None) == Reach()
