"""Gated delta rules over a tree, against each path by itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.kimi_linear.modeling_kimi_linear import chunk_kimi_delta_attention
from transformers.models.qwen3_next.modeling_qwen3_next import torch_chunk_gated_delta_rule

from evalsuite.engine.native.trees import walk as tree_walk
from evalsuite.engine.native.trees.delta import tree_delta
from tests.engine.native.trees.test_mamba import some_chunks, some_sequences, walk_over

HEADS, KEY_HEADS, WIDTH, VALUES = 4, 2, 5, 3


def random_inputs(tokens: int, *, by_channel: bool, strength: float = 1.0) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    key_heads = HEADS if by_channel else KEY_HEADS
    return {
        "query": torch.randn(1, tokens, key_heads, WIDTH),
        "key": torch.randn(1, tokens, key_heads, WIDTH),
        "value": torch.randn(1, tokens, HEADS, VALUES),
        "g": -strength * torch.rand(1, tokens, HEADS, *([WIDTH] if by_channel else [])),
        "beta": 2 * torch.rand(1, tokens, HEADS),
    }


@settings(deadline=None, max_examples=40)
@given(
    sequences=some_sequences,
    chunk=some_chunks,
    at_once=st.sampled_from([1, 50, 1 << 25]),
    by_channel=st.booleans(),
    strength=st.sampled_from([0.1, 3.0, 200.0]),
)
def test_the_rule_is_that_of_each_path(sequences, chunk, at_once, by_channel, strength):
    walk, tree, paths = walk_over(sequences, chunk)
    inputs = random_inputs(len(tree.pack), by_channel=by_channel, strength=strength)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_walk, "WEIGHTS_AT_ONCE", at_once)
        found, state = tree_delta(walk, **inputs, use_qk_l2norm_in_kernel=True)
    assert state is None
    for path in paths:
        of_path = {name: part[:, path] for name, part in inputs.items()}
        expected = one_token_after_the_other(**of_path)
        torch.testing.assert_close(found[0, path].double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("by_channel", [False, True])
@pytest.mark.parametrize("normed", [False, True])
def test_on_a_chain_it_is_transformers_own(by_channel, normed):
    walk, tree, _ = walk_over([tuple(range(150))], 64)
    inputs = random_inputs(len(tree.pack), by_channel=by_channel)
    inputs |= {name: 0.3 * inputs[name] for name in ("query", "key")}
    alone = chunk_kimi_delta_attention if by_channel else torch_chunk_gated_delta_rule
    # transformers 5.17 takes as many key heads as heads.
    repeated = {
        name: inputs[name].repeat_interleave(HEADS // inputs[name].shape[2], 2) for name in ("query", "key")
    }
    expected, _ = alone(**inputs | repeated, use_qk_l2norm_in_kernel=normed)
    found, _ = tree_delta(walk, **inputs, use_qk_l2norm_in_kernel=normed)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("by_channel", [False, True])
def test_a_token_that_forgets_everything_costs_those_behind_it_no_digits(by_channel):
    """A sum of decays in float32 would have lost the small ones after a large one."""
    length = 60
    inputs = random_inputs(length, by_channel=by_channel, strength=0.01)
    inputs["g"][:, 3] = -3e6
    walk, _, _ = walk_over([tuple(range(length))], 64)
    found, _ = tree_delta(walk, **inputs, use_qk_l2norm_in_kernel=True)
    exact = one_token_after_the_other(**inputs)
    assert (found[0] - exact).abs().max() <= 1e-5 * exact.abs().max()


def one_token_after_the_other(query, key, value, g, beta) -> torch.Tensor:
    """The definition, in float64; queries and keys of length 1."""
    state = torch.zeros(HEADS, WIDTH, VALUES, dtype=torch.float64)
    q, k = (part[0].double() / part[0].double().norm(dim=-1, keepdim=True) for part in (query, key))
    q, k = (part.repeat_interleave(HEADS // part.shape[1], 1) for part in (q * WIDTH**-0.5, k))
    decays = g[0].double().exp().unflatten(1, (HEADS, -1)).flatten(2)
    read = []
    for asked, met, new, kept, share in zip(q, k, value[0].double(), decays, beta[0].double(), strict=True):
        state = state * kept[..., None]
        told = torch.einsum("hk,hkv->hv", met, state)
        state = state + torch.einsum("hk,hv->hkv", met, (new - told) * share[:, None])
        read.append(torch.einsum("hk,hkv->hv", asked, state))
    return torch.stack(read)


def test_what_a_tree_cannot_give_is_refused():
    walk, tree, _ = walk_over([(1, 2, 3)], 64)
    inputs = random_inputs(len(tree.pack), by_channel=False)
    for option in ({"initial_state": torch.zeros(1)}, {"output_final_state": True}):
        with pytest.raises(ValueError, match="keep no state"):
            tree_delta(walk, **inputs, **option)
