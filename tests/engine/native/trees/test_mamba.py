"""Convolution and recurrence over a tree, against each path by itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.mamba2.modeling_mamba2 import causal_conv1d_fn, mamba2_chunk_scan

from evalsuite.engine.native.trees import walk as tree_walk
from evalsuite.engine.native.trees.mamba import tree_conv, tree_scan
from evalsuite.engine.native.trees.tree import Tree, tree_of
from evalsuite.engine.native.trees.walk import Walk, walk_of
from evalsuite.engine.planning.pack import lay
from evalsuite.engine.planning.plan import sort_inputs, sortable
from tests.engine.native.test_score_packed import trees_of_requests

HEADS, WIDTH, GROUPS, STATE = 4, 3, 2, 5

some_sequences = trees_of_requests().map(
    lambda requests: [one.context + one.continuation for one in requests]
)
some_chunks = st.sampled_from([1, 2, 3, 64])


def tree_over(sequences) -> tuple[Tree, list[list[int]]]:
    """A tree, and the places in its row of each of the distinct sequences."""
    inputs, _ = sort_inputs({sortable(one) for one in sequences})
    pack, places = lay(inputs, tuple(range(len(inputs))), inputs.lengths.tolist())
    return tree_of(pack, "cpu"), [place.tolist() for place in places]


def walk_over(sequences, chunk: int) -> tuple[Walk, Tree, list[list[int]]]:
    tree, paths = tree_over(sequences)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_walk, "CHUNK", chunk)
        return walk_of(tree), tree, paths


@given(sequences=some_sequences, chunk=some_chunks)
def test_every_token_is_in_one_block_and_reads_the_state_behind_the_token_before_its_block(sequences, chunk):
    walk, tree, _ = walk_over(sequences, chunk)
    parents = tree.pack.parents.tolist()
    assert sorted(torch.cat([blocks.kept for blocks, _ in walk.blocks]).tolist()) == [*range(len(parents))]
    readers_behind = {one.tokens.stop - 1: one.readers.tolist() for one in walk.chunks}
    for blocks, _ in walk.blocks:
        for places in blocks.positions.view(-1, blocks.length).tolist():
            assert len(set(places)) <= chunk
            behind = parents[places[0]]
            assert all(parents[place] == behind or parents[place] in places for place in places)
            assert behind < 0 or set(places) <= set(readers_behind[behind])


@given(sequences=some_sequences, chunk=some_chunks)
def test_a_state_is_in_its_slot_when_it_is_needed(sequences, chunk):
    walk, tree, _ = walk_over(sequences, chunk)
    behind = [-1] * walk.slots
    for one in walk.chunks:
        parent = int(tree.pack.parents[one.tokens.start])
        assert (one.source is None) == (parent < 0)
        assert one.source is None or behind[one.source] == parent
        behind[one.slot] = one.tokens.stop - 1


def test_a_chain_keeps_one_state_and_a_branch_two():
    chain = tuple(range(1000))
    assert walk_over([chain], 64)[0].slots == 1
    walk, _, _ = walk_over([(*chain, *range(start, start + 300)) for start in (2000, 3000, 4000)], 64)
    assert (walk.slots, len(walk.chunks)) == (2, 16 + 3 * 4)


@settings(deadline=None)
@given(sequences=some_sequences, width=st.integers(1, 5), biased=st.booleans())
def test_the_convolution_is_that_of_each_path(sequences, width, biased):
    walk, tree, paths = walk_over(sequences, 64)
    torch.manual_seed(0)
    x, weight = torch.randn(1, 6, len(tree.pack)), torch.randn(6, width)
    bias = torch.randn(6) if biased else None
    found = tree_conv(walk, x, weight, bias, activation="silu")
    for path in paths:
        torch.testing.assert_close(
            found[:, :, path],
            causal_conv1d_fn(x[:, :, path], weight, bias, activation="silu"),
            rtol=0,
            atol=2e-6,
        )


def random_inputs(tokens: int, seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {
        "hidden_states": torch.randn(1, tokens, HEADS, WIDTH),
        "dt": torch.randn(1, tokens, HEADS) - 1,
        "A": -torch.rand(HEADS) * 2 - 0.1,
        "B": torch.randn(1, tokens, GROUPS, STATE),
        "C": torch.randn(1, tokens, GROUPS, STATE),
        "D": torch.randn(HEADS),
        "dt_bias": torch.randn(HEADS),
    }


@settings(deadline=None)
@given(
    sequences=some_sequences,
    chunk=some_chunks,
    at_once=st.sampled_from([1, 1 << 25]),
    softplus=st.booleans(),
    limit=st.sampled_from([(0.0, float("inf")), (0.2, 0.6)]),
    skipping=st.booleans(),
)
def test_the_recurrence_is_that_of_each_path(sequences, chunk, at_once, softplus, limit, skipping):
    walk, tree, paths = walk_over(sequences, chunk)
    inputs = random_inputs(len(tree.pack))
    if not softplus:
        inputs |= {"dt": inputs["dt"].abs(), "dt_bias": None}
    if not skipping:
        inputs |= {"D": None}
    options = {"dt_softplus": softplus, "dt_limit": limit}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_walk, "WEIGHTS_AT_ONCE", at_once)
        found = tree_scan(walk, **inputs, **options)
    for path in paths:
        of_path = {
            name: value[:, path] if name in ("hidden_states", "dt", "B", "C") else value
            for name, value in inputs.items()
        }
        expected = mamba2_chunk_scan(**of_path, **options, chunk_size=16)
        torch.testing.assert_close(found[:, path], expected, rtol=0, atol=1e-5)


def one_token_after_the_other(dt, A, B, C, hidden_states) -> torch.Tensor:
    """The definition, in float64; no bias, no skip."""
    state = torch.zeros(HEADS, STATE, WIDTH, dtype=torch.float64)
    spread = [part[0].double().repeat_interleave(HEADS // GROUPS, 1) for part in (B, C)]
    read = []
    for step, x, written, wanted in zip(dt[0].double(), hidden_states[0].double(), *spread, strict=True):
        state = torch.exp(step * A.double())[:, None, None] * state + torch.einsum(
            "h,hn,hp->hnp", step, written, x
        )
        read.append(torch.einsum("hn,hnp->hp", wanted, state))
    return torch.stack(read)[None]


def test_steps_that_forget_everything_cost_those_behind_them_no_digits():
    """A sum of decays in float32 would have lost the small ones after a large one."""
    length = 60
    inputs = random_inputs(length)
    dt = torch.full((1, length, HEADS), 0.01)
    dt[:, 3] = 3e4
    inputs |= {"dt": dt, "A": -torch.ones(HEADS)}
    del inputs["D"], inputs["dt_bias"]
    walk, _, _ = walk_over([tuple(range(length))], 64)
    found, exact = tree_scan(walk, **inputs), one_token_after_the_other(**inputs)
    assert (found - exact)[:, 4:].abs().max() <= 1e-6 * exact.abs().max()
    assert (found - exact)[:, 4:].abs().max() <= 1e-5 * exact[:, 4:].abs().max()
