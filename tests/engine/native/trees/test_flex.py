"""FlexAttention over a tree is attention with the tree's mask, whatever the options; not compiled here."""

import functools
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounter
from torch.nn.attention import flex_attention as torch_flex
from torch.nn.attention import varlen as torch_varlen

from evalsuite.engine.native.paths import Paths
from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.score_packed import score_run
from evalsuite.engine.native.trees import attention, flex, varlen
from evalsuite.engine.native.trees.flex import attend_by_tile, device_tiles, padded_size
from evalsuite.engine.native.trees.tiles import TILE
from evalsuite.engine.native.trees.tree import tree_of
from evalsuite.engine.planning.pack import Pack
from evalsuite.engine.planning.plan import plan_packs
from evalsuite.types import Score, ScoreRequest
from tests.engine.native.decoders import DECODERS
from tests.engine.native.test_score_packed import assert_as_alone, questions, trees_of_requests
from tests.engine.native.trees import varlen_plain
from tests.engine.native.trees.test_levels import REACHES, pack_of, seen, sequences
from tests.engine.tiny import loaded

OF_SCALE = 2e-6
"""Largest difference from float64 in float32, as a share of the largest value."""


@pytest.fixture(autouse=True)
def plain_and_short(monkeypatch) -> None:
    """The uncompiled form holds all scores, and would call dynamo each time."""
    monkeypatch.setattr(flex, "SMALLEST_ROW", TILE)
    monkeypatch.setattr(torch_flex, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)


def dense(pack: Pack, reach: Reach, q, k, v, scale, softcap, s_aux) -> torch.Tensor:
    """(1, tokens, heads, width) in float64 with the whole mask."""
    group = q.shape[1] // k.shape[1]
    k, v = (part.double().repeat_interleave(group, 1) for part in (k, v))
    scores = q.double() @ k.transpose(-1, -2) * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores.masked_fill(torch.from_numpy(seen(pack, reach) == 0), -torch.inf)
    if s_aux is not None:
        sinks = s_aux.double()[None, :, None, None].expand(*scores.shape[:3], 1)
        scores = torch.cat([scores, sinks], -1)
        v = torch.cat([v, torch.zeros_like(v[:, :, :1])], 2)
    return (scores.softmax(-1) @ v).transpose(1, 2)


def parts(tokens: int, *, heads=4, groups=2, width=16, value_width=16, dtype=torch.float32):
    random = torch.Generator().manual_seed(tokens)
    shapes = ((heads, width), (groups, width), (groups, value_width))
    return [torch.randn(1, count, tokens, wide, generator=random).to(dtype) for count, wide in shapes]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=sequences,
    reach=st.sampled_from(REACHES),
    softcap=st.sampled_from([None, 1.5]),
    sinks=st.booleans(),
    groups=st.sampled_from([1, 2, 4]),
    value_width=st.sampled_from([8, 16, 24]),
)
def test_it_is_attention_with_the_trees_mask(rows, reach, softcap, sinks, groups, value_width):
    pack = pack_of(rows)
    q, k, v = parts(len(pack), groups=groups, value_width=value_width)
    s_aux = torch.linspace(-2, 2, 4) if sinks else None
    found = attend_by_tile(tree_of(pack, "cpu"), q, k, v, 0.3, softcap, reach, s_aux)
    expected = dense(pack, reach, q, k, v, 0.3, softcap, s_aux)
    assert found.shape == expected.shape
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=OF_SCALE * expected.abs().max().item())


CASCADE = (-1, 0)
"""The window of a call of the cascade within nodes."""
USED = {
    "llama": {CASCADE},
    "gpt2, learned positions": {CASCADE},
    "mistral, window": {"flex"},
    "gemma2, window and soft caps": {"flex"},
    "gpt_oss, sinks and window": {CASCADE, "flex"},
    "llama4, chunks and temperature": {CASCADE, "flex"},
}
"""By model, what the path "levels-flex" uses."""


@pytest.fixture(scope="module", params=USED)
def model(request) -> torch.nn.Module:
    return DECODERS[request.param]()


def scored_by(path: str, model, requests) -> dict[ScoreRequest, Score]:
    ready, plan = replace(loaded(model), paths=Paths(attention=path)), plan_packs(requests, 10_000)
    return dict(answer for run in plan.runs for answer in score_run(ready, plan, run))


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=trees_of_requests())
def test_a_model_scores_a_tree_as_each_request_alone(model, requests):
    assert_as_alone(model, requests, scored_by("flex", model, requests))


@pytest.mark.parametrize("name", USED)
def test_the_cascade_leaves_windows_chunks_and_soft_caps_to_it(name, monkeypatch):
    """The path "levels-flex", with stand-ins for the cascade's two kernels."""
    model, calls = DECODERS[name](), set()

    @functools.wraps(varlen_plain.varlen_attn)
    def cascade(*args, **options):
        calls.add(options["window_size"])
        return varlen_plain.varlen_attn(*args, **options)

    def by_tile(tree, query, key, value, scale, softcap, reach, s_aux):
        calls.add("flex")
        assert reach.is_limited or softcap is not None
        return attend_by_tile(tree, query, key, value, scale, softcap, reach, s_aux)

    monkeypatch.setattr(torch_varlen, "varlen_attn", cascade)
    monkeypatch.setattr(varlen, "DEVICES", ("cpu",))
    monkeypatch.setattr(varlen, "KERNEL_DTYPES", (torch.float32,))
    monkeypatch.setitem(
        sys.modules,
        "evalsuite.engine.native.trees.kernels.merge",
        SimpleNamespace(merge_in_place=varlen.merge_partials),
    )
    monkeypatch.setattr(attention, "attend_by_tile", by_tile)
    assert_as_alone(model, questions(), scored_by("levels-flex", model, questions()))
    assert calls - {(-1, -1)} == USED[name]


def test_half_precision_stays_half_precision():
    """The uncompiled form rounds scores and weights to bfloat16, which the compiled one does not."""
    pack = pack_of([(1, 2, 3, *range(40)), (1, 2, 3, 9, *range(30))])
    q, k, v = parts(len(pack), dtype=torch.bfloat16)
    s_aux = torch.linspace(-2, 2, 4)
    found = attend_by_tile(tree_of(pack, "cpu"), q, k, v, 0.3, None, Reach(), s_aux)
    expected = dense(pack, Reach(), q, k, v, 0.3, None, s_aux)
    assert found.dtype == torch.bfloat16
    assert (found.double() - expected).abs().max() <= 2**-6 * expected.abs().max()


@pytest.mark.parametrize("reach", [Reach(), Reach(300), Reach(chunk=320)], ids=str)
def test_a_kernel_that_walks_the_tiles_sees_what_the_tree_sees(reach):
    """The uncompiled form reads the mask alone; the compiled one reads these tables, too."""
    shots = tuple(range(3, 300))
    pack = pack_of([(*shots, *range(branch, branch + 90)) for branch in (1, 2, 3, 400)] + [(7,) * 260])
    tiles = device_tiles(pack, reach, "cpu")
    mask, sees = tiles.block_mask, tiles.block_mask.mask_mod
    found = np.zeros((tiles.size, tiles.size), int)
    position = torch.arange(tiles.size)
    for row in range(tiles.size // TILE):
        query = slice(row * TILE, row * TILE + TILE)
        for column in mask.kv_indices[0, 0, row, : mask.kv_num_blocks[0, 0, row]].tolist():
            key = slice(column * TILE, column * TILE + TILE)
            found[query, key] += sees(None, None, position[query, None], position[None, key]).numpy()
        for column in mask.full_kv_indices[0, 0, row, : mask.full_kv_num_blocks[0, 0, row]].tolist():
            found[query, column * TILE : column * TILE + TILE] += 1
    assert mask.full_kv_num_blocks.sum() > 0
    tokens = len(pack)
    assert (found[:tokens, :tokens] == seen(pack, reach)).all()
    assert not found[:tokens, tokens:].any()  # no padding
    assert not found[tokens:, :tokens].any()  # and padding sees nothing real
    assert tiles.size < 2 * tokens


def test_rows_have_few_sizes(monkeypatch):
    monkeypatch.undo()
    assert {padded_size(tokens) for tokens in range(1, 16385, 13)} == {1024, 2048, 4096, 8192, 16384}


def test_it_is_compiled_once_for_each_size(monkeypatch):
    """Dynamo's part, which finds out what must be compiled again, runs here; no kernel is made."""
    compiled = CompileCounter()
    function = torch.compile(torch_flex.flex_attention, backend=compiled, dynamic=False, fullgraph=True)
    monkeypatch.setattr(flex, "_flex_attention", lambda device: function)
    counts = []
    with torch.inference_mode():
        for lengths in ((90, 20), (70, 11, 3), (200, 20), (140, 30), (100, 9)):
            pack = pack_of(
                [(*range(3), *range(5 + at, 5 + at + length)) for at, length in enumerate(lengths)]
            )
            for _layer in range(2):
                attend_by_tile(tree_of(pack, "cpu"), *parts(len(pack)), 0.3, None, Reach(), None)
            counts.append(compiled.frame_count)
    assert counts == [1, 1, 2, 2, 2]


def test_the_compiled_form_may_have_more_sizes_than_dynamo_allows():
    assert flex._flex_attention("cuda") is not torch_flex.flex_attention
    assert torch._dynamo.config.recompile_limit >= 64
