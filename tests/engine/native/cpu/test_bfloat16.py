"""Half precision on a CPU adds up in float32, and its answers stay apart from those of older versions."""

import pytest
import torch

from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.slots.cache import Prefix, SlotCache
from evalsuite.engine.native.slots.forward import SlotModel
from evalsuite.engine.native.trees.attention import attending, tree_attention
from evalsuite.engine.native.trees.tree import tree_of
from tests.engine.native.trees.test_levels import pack_of
from tests.engine.tiny import loaded, tiny_llama

WIDTH, HEADS, KEY_HEADS = 16, 4, 2
TRUNK = tuple(range(1, 300))
"""Longer than a block, so that spans connect it with its branches."""


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("window", [None, 40])
def test_attention_over_a_tree_rounds_nothing_but_its_result(dtype, window):
    pack = pack_of([(*TRUNK, *range(branch, branch + 9)) for branch in (301, 302, 303)])
    random = torch.Generator().manual_seed(0)
    shapes = [(1, heads, len(pack), WIDTH) for heads in (HEADS, KEY_HEADS, KEY_HEADS)]
    parts = [torch.randn(shape, generator=random).to(dtype) for shape in shapes]
    model = tiny_llama()
    layer = model.model.layers[0].self_attn
    with attending(model, tree_of(pack, "cpu")):
        found, _ = tree_attention(layer, *parts, None, sliding_window=window)
        exact, _ = tree_attention(layer, *(part.float() for part in parts), None, sliding_window=window)
    assert found.dtype == dtype
    assert found.equal(exact.to(dtype))


@torch.inference_mode()
def test_slots_keep_keys_and_values_in_the_data_type_of_their_products():
    slots = SlotModel.of(loaded(tiny_llama().to(torch.bfloat16)))
    cache = SlotCache(slots.like, 2)
    kept = [part for layer in cache.layers for part in layer.by_token]
    prefix = slots.prefix((3, 4, 5))
    kept += [part for layer in prefix.layers for part in (layer.keys, layer.values)]
    assert {part.dtype for part in kept} == {torch.float32}
    assert all(part.equal(part.bfloat16().float()) for part in kept)
    assert isinstance(prefix, Prefix)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_class_of_numerics_names_it_and_that_of_float32_stays(llama_files, dtype):
    def numerics(name: str) -> str:
        return TransformersEngine(llama_files, dtype=name, device="cpu").expected_identity.numerics

    assert numerics(dtype).startswith(f"transformers {dtype} cpu float32-sums")
    assert "float32-sums" not in numerics("float32")
