"""What trees and slots cannot do is found by one pass over a few tokens, and named."""

import re

import pytest
import torch

from evalsuite.engine.native.fit_trees import why_it_differs
from evalsuite.engine.native.probe.attention_options import UnknownOptionError, refuse_unknown
from evalsuite.engine.native.probe.attention_probe import AskedMask, why_its_attention_is_unknown
from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.slots.fit import fit_for_slots
from evalsuite.engine.native.stand_in import why_it_stopped
from evalsuite.engine.planning.rope import length_rule
from evalsuite.errors import ModelError
from tests.engine.native.decoders import CHUNKED, DECODERS, decoder
from tests.engine.tiny import loaded, tiny_hybrids


def layer_that_takes_itself_for_another() -> torch.nn.Module:
    """Llama-4 with 8,192 tokens in a chunk, whose chunked layer finds another kind at its place in the
    configuration."""
    model = decoder("Llama4", **{**CHUNKED, "attention_chunk_size": 8192})
    model.model.layers[0].self_attn.layer_idx = 1
    return model


UNKNOWN = {
    "chunks of 8,192 tokens that only the mask knows": (
        layer_that_takes_itself_for_another,
        "does not tell its chunks of 8192 tokens",
    ),
    "a window of 4,096 tokens that only the mask knows": (
        lambda: decoder("Phimoe", sliding_window=4096, num_local_experts=2, num_experts_per_tok=1),
        "does not tell its window of 4096 tokens",
    ),
    "blocks of keys": (
        lambda: decoder(
            "MiniMaxM3VL",
            head_dim=8,
            layer_types=["full_attention", "minimax_m3_sparse"],
            index_n_heads=2,
            dense_intermediate_size=64,
            shared_intermediate_size=32,
            rotary_dim=8,
            index_block_size=128,
            num_local_experts=2,
            num_experts_per_tok=1,
            mlp_layer_types=["dense", "dense"],
        ),
        "block_indices",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_understood_keeps_a_model_off_trees_and_slots_whatever_its_size(name):
    make, words = UNKNOWN[name]
    ready = loaded(make())
    assert words in why_its_attention_is_unknown(ready)
    assert words in why_it_differs(ready)
    model, reason = fit_for_slots(ready)
    assert model is None
    assert words in reason


@pytest.mark.parametrize("name", DECODERS)
def test_what_is_understood_passes_and_the_model_is_itself_again(name):
    ready = loaded(DECODERS[name]())
    usual = ready.model.config._attn_implementation
    assert why_its_attention_is_unknown(ready) == ""
    assert ready.model.config._attn_implementation == usual


def test_a_model_without_attention_has_nothing_to_be_looked_at():
    assert why_its_attention_is_unknown(loaded(tiny_hybrids()["mamba2"].eval())) == ""


def test_chunks_of_any_length_are_understood():
    assert (
        why_its_attention_is_unknown(loaded(decoder("Llama4", **{**CHUNKED, "attention_chunk_size": 8192})))
        == ""
    )


MASKS = {
    "all": (lambda batch, head, query, key: key <= query, None, Reach()),
    "window": (lambda batch, head, query, key: (key <= query) & (key > query - 50), 50, Reach(window=50)),
    "chunks": (
        lambda batch, head, query, key: (key <= query) & (key // 50 == query // 50),
        50,
        Reach(chunk=50),
    ),
    "chunks that overlap": (
        lambda batch, head, query, key: (key <= query) & (query - query % 50 - key < 10),
        50,
        None,
    ),
    "chunks from the second token on": (
        lambda batch, head, query, key: (key <= query) & ((key + 49) // 50 == (query + 49) // 50),
        50,
        None,
    ),
    "chunks without a size": (
        lambda batch, head, query, key: (key <= query) & (key // 50 == query // 50),
        None,
        None,
    ),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_is_like_what_its_layer_tells_and_nothing_else(name):
    sees, size, like = MASKS[name]
    mask = AskedMask(sees, size, torch.device("cpu"))
    reaches = [Reach(), Reach(window=50), Reach(chunk=50), Reach(window=49), Reach(chunk=49)]
    assert [reach for reach in reaches if not mask.unlike(reach)] == ([] if like is None else [like])


MASK_USES = {
    "(masked_fill)": lambda mask: torch.zeros(1).masked_fill(mask, 1.0),
    "computes with its attention mask (invert)": lambda mask: ~mask[:, 0],
    "(add)": lambda mask: torch.zeros(3) + mask.to(torch.float32),
    "(eq)": lambda mask: mask == 0,
    "asks its attention mask for masked_fill": lambda mask: mask.masked_fill(torch.ones(1), 0),
    "(where)": lambda mask: torch.where(mask, 0.0, 1.0),
}


@pytest.mark.parametrize("words", MASK_USES)
def test_a_mask_that_a_model_computes_with_is_an_error_in_words(words):
    mask = AskedMask(lambda *_: True, None, torch.device("cpu"))
    with pytest.raises(UnknownOptionError, match=re.escape(words)):
        MASK_USES[words](mask)


def test_a_mask_tells_what_every_tensor_tells():
    mask = AskedMask(lambda *_: True, None, torch.device("cpu"))
    assert (mask.dtype, mask.shape, mask.size(-1), mask.ndim, mask.dim()) == (
        torch.bool,
        (1, 1, 12, 12),
        12,
        4,
        4,
    )
    assert mask.to("cpu")[:, :, -1:] is mask
    assert not hasattr(mask, "graph")


def test_an_error_of_other_code_is_quoted_in_a_sentence():
    assert why_it_stopped(TypeError("no\nmore")) == "a trial ended in an error, TypeError: no"
    assert why_it_stopped(KeyError()) == "a trial ended in an error, KeyError"
    assert why_it_stopped(ModelError("It returns no cache.")) == "It returns no cache"


@pytest.mark.parametrize(
    "options",
    [
        {"indices": torch.zeros(1)},
        {"position_bias": 0.0},
        {"is_causal": False},
        {"dropout": 0.1},
        {"sinks": []},
    ],
)
def test_an_option_that_nobody_knows_is_named(options):
    with pytest.raises(UnknownOptionError, match=next(iter(options))):
        refuse_unknown(None, options)


def test_options_that_change_nothing_pass():
    refuse_unknown(None, {"dropout": 0.0, "is_causal": True, "position_ids": torch.zeros(1), "indices": None})
    with pytest.raises(UnknownOptionError, match="a mask of its own"):
        refuse_unknown(torch.zeros(1, 1, 4, 4), {})


@pytest.mark.parametrize(
    "config",
    [
        {"rope_scaling": {"type": "longrope"}},
        {"rope_parameters": {"rope_type": "dynamic"}},
        {"text_config": {"rope_parameters": {"full_attention": {"rope_type": "longrope"}}}},
    ],
)
def test_positions_that_depend_on_the_longest_row_are_found_wherever_they_are_configured(config):
    assert length_rule(config)
    assert not length_rule({"rope_parameters": {"rope_type": "yarn"}})


@pytest.mark.parametrize(
    ("rope", "window", "limit"),
    [
        ({"rope_type": "dynamic"}, 2048, None),
        ({"rope_type": "dynamic"}, None, 2048),
        ({"rope_type": "dynamic"}, 4096, 2048),
        ({"rope_type": "longrope", "original_max_position_embeddings": 512}, 2048, 512),
        ({"rope_type": "longrope", "original_max_position_embeddings": 2048}, 2048, None),
    ],
)
def test_rows_are_rotated_alike_where_the_window_ends_before_the_limit(rope, window, limit):
    rule = length_rule({"max_position_embeddings": 2048, "rope_parameters": rope}, window)
    assert (rule and rule.limit) == limit
