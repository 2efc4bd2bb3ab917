"""Packed scoring through the GPU's attention, with a stand-in for the one kernel that a CPU has not.

Everything but the kernel is the code that a GPU runs: the stand-in computes what the kernel promises, and
checks what the kernel asks for.
"""

import functools
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import varlen

from evalsuite.engine.native import fit_trees as packable
from evalsuite.engine.native import kernels, paths, score_packed
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.fit_trees import fitted, trial_sequences, why_it_differs
from evalsuite.engine.native.paths import PLAIN, Paths
from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.trees import mamba, recurrent
from evalsuite.engine.native.trees import varlen as varlen_attention
from evalsuite.engine.native.trees.tree import tree_of
from evalsuite.engine.native.trees.walk import walk_of
from evalsuite.engine.protocol import answers_in
from tests.engine.native.decoders import DECODERS, decoder
from tests.engine.native.hybrids import nemotron_h
from tests.engine.native.stand_ins import pointwise_by
from tests.engine.native.test_score_packed import (
    assert_as_alone,
    furthest,
    questions,
    scored,
    trees_of_requests,
)
from tests.engine.native.trees import varlen_plain
from tests.engine.native.trees.test_levels import pack_of
from tests.engine.tiny import loaded, tiny_llama

MODELS = {
    name: DECODERS[name]
    for name in (
        "llama",
        "gpt2, learned positions",
        "qwen3",
        "mistral, window",
        "gemma2, window and soft caps",
        "gemma3, window",
        "gpt_oss, sinks and window",
        "llama4, chunks and temperature",
    )
} | {"nemotron_h": nemotron_h}


@pytest.fixture(autouse=True)
def calls(monkeypatch) -> list[tuple]:
    """The kernel's place is taken, on a CPU and for float32 too; its calls' window sizes."""
    made = []

    @functools.wraps(varlen_plain.varlen_attn)  # with its signature
    def stand_in(*args, **options):
        made.append(options["window_size"])
        return varlen_plain.varlen_attn(*args, **options)

    monkeypatch.setattr(varlen, "varlen_attn", stand_in)
    monkeypatch.setattr(varlen_attention, "DEVICES", ("cpu",))
    monkeypatch.setattr(paths, "GPUS", ("cpu",))
    monkeypatch.setitem(paths.CANDIDATES, "graphs", ())
    monkeypatch.setattr(varlen_attention, "KERNEL_DTYPES", (torch.float32, torch.bfloat16))
    return made


@pytest.fixture(scope="module", params=MODELS)
def model(request) -> torch.nn.Module:
    return MODELS[request.param]()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=trees_of_requests())
def test_a_packed_tree_scores_as_each_request_alone(model, requests):
    assert_as_alone(model, requests, scored(model, requests))


def test_one_call_for_the_nodes_and_one_for_each_level(calls):
    model = tiny_llama()
    assert_as_alone(model, questions(), scored(model, questions()))
    layers = model.config.num_hidden_layers
    assert calls == ([(-1, 0)] + [(-1, -1)] * (len(calls) // layers - 1)) * layers
    assert len(calls) > layers


def test_a_window_is_the_kernels_within_a_node(calls):
    model = DECODERS["mistral, window"]()
    scored(model, questions())
    assert {left for left, right in calls if right == 0} == {model.config.sliding_window - 1}


def test_chunks_cut_the_kernels_sequences_and_need_no_window_of_its(calls):
    scored(DECODERS["llama4, chunks and temperature"](), questions())
    assert set(calls) == {(-1, 0), (-1, -1)}


def test_soft_caps_and_float32_are_left_to_plain_operations(calls, monkeypatch):
    scored(DECODERS["gemma2, window and soft caps"](), questions())
    monkeypatch.setattr(varlen_attention, "KERNEL_DTYPES", (torch.bfloat16, torch.float16))
    scored(tiny_llama(), questions())
    assert not calls


def test_half_precision_differs_by_rounding_alone(calls, monkeypatch):
    requests = questions()
    exact = scored(tiny_llama(), requests)
    by_level = scored(tiny_llama().to(torch.bfloat16), requests)
    assert calls
    monkeypatch.setattr(varlen_attention, "DEVICES", ())
    by_block = scored(tiny_llama().to(torch.bfloat16), requests)
    assert furthest(by_level, exact) <= 2 * furthest(by_block, exact)


def test_the_trial_on_a_gpu_has_stretches_as_long_as_its_kernels_tiles(monkeypatch):
    ready = loaded(decoder("Llama", max_position_embeddings=512))
    sequences = trial_sequences(replace(ready, device="cuda"))
    assert max(map(len, sequences)) > 256
    assert trial_sequences(replace(loaded(tiny_llama()), device="cuda")) == trial_sequences(ready)
    monkeypatch.setattr(packable, "SHORT_TRIAL", sequences)
    assert why_it_differs(ready) == ""


@pytest.mark.parametrize(
    "error", [ImportError("no varlen"), TypeError("new signature"), Exception("of a compiler")]
)
def test_a_kernel_that_fails_in_the_trial_is_named(monkeypatch, error):
    def broken(*args, **options):
        raise error

    monkeypatch.setattr(varlen, "varlen_attn", broken)
    assert f"a trial ended in an error, {type(error).__name__}: {error}" == why_it_differs(
        loaded(tiny_llama())
    )


def test_a_kernel_that_computes_something_else_is_found_out_in_the_trial(monkeypatch):
    for model in (tiny_llama(), tiny_llama().to(torch.bfloat16)):
        assert why_it_differs(loaded(model)) == ""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(varlen, "varlen_attn", unscaled)
            assert "differed" in why_it_differs(loaded(model))


def unscaled(*args, **options):
    return varlen_plain.varlen_attn(*args, **{**options, "scale": 1.0})


def test_trees_are_computed_by_torch_where_the_kernel_is_wrong(llama_files, monkeypatch):
    monkeypatch.setattr(varlen, "varlen_attn", unscaled)
    engine, requests = TransformersEngine(llama_files, device="cpu"), questions()
    scores = dict(answers_in(engine.score(requests)))
    told = r"attention over packed trees: computed by torch, not by levels \(a trial differed from .*\)"
    assert re.fullmatch(told, *engine.notes)
    assert_as_alone(tiny_llama(), requests, scores)


def test_mamba_layers_walk_the_tree_by_torch_where_their_kernels_are_wrong(monkeypatch):
    """The kernels' places are taken by torch's functions, one of which forgets its bias."""
    wrong = {
        "conv": {
            "path_conv": lambda walk, hidden, weight, bias, *rest, **options: mamba.tree_conv(
                walk, hidden, weight
            )
        },
        "scan": {"path_scan": mamba.tree_scan},
        "tables": {"tables_of": walk_of},
        "merge": {"merge_in_place": varlen_attention.merge_partials},
    }
    for name, functions in wrong.items():
        monkeypatch.setitem(
            sys.modules, f"evalsuite.engine.native.trees.kernels.{name}", SimpleNamespace(**functions)
        )
    monkeypatch.setattr(kernels, "kernels_unsupported_reason", lambda device: "")
    monkeypatch.setattr(score_packed, "pointwise_by", pointwise_by)
    model = nemotron_h()
    assert "differed" in why_it_differs(loaded(model))
    found = fitted(loaded(model))
    assert found.ready.paths.scan == PLAIN.scan
    assert found.ready.paths.attention != PLAIN.attention  # the other part keeps its kernel
    (note,) = found.notes
    assert note.startswith("Mamba-2 over packed trees: computed by torch, not by kernels (a trial differed")
    assert why_it_differs(found.ready) == ""


def test_what_fits_neither_kernels_nor_torch_is_scored_in_batches(monkeypatch):
    monkeypatch.setattr(varlen, "varlen_attn", unscaled)
    mirrored = lambda walk, hidden, *rest, **options: mamba.tree_conv(walk, hidden.flip(-1), *rest, **options)  # noqa: E731
    monkeypatch.setattr(recurrent, "tree_conv", mirrored)
    convolving = loaded(decoder("Lfm2", layer_types=["conv", "full_attention"]))
    found = fitted(convolving)
    assert found.loaded is None
    assert found.problem.startswith("a trial differed from single sequences by ")


def test_the_installed_torch_has_this_kernel_with_this_signature(monkeypatch):
    """Its own description of what comes back: normalisers are (heads, tokens)."""
    monkeypatch.undo()
    with FakeTensorMode():
        query, key = torch.empty(10, 4, 8), torch.empty(10, 2, 8)
        if not varlen_attention.takes("enable_gqa"):
            key = torch.empty(10, 4, 8)
        edges = torch.zeros(3, dtype=torch.int32)
        options = {"return_aux": varlen.AuxRequest(lse=True), "scale": 0.3}
        if varlen_attention.takes("enable_gqa"):
            options["enable_gqa"] = True
        for window_size in ((-1, 0), (-1, -1), (6, 0)):
            result, logs = varlen.varlen_attn(
                query, key, key, edges, edges, 6, 6, window_size=window_size, **options
            )
            assert result.shape == (10, 4, 8)
            assert (logs.shape, logs.dtype) == ((4, 10), torch.float32)


def test_the_installed_torch_takes_the_arguments_of_its_version(monkeypatch):
    """Read from the sources of torch 2.11, 2.12 and 2.13; 2.11 is the first with `scale`."""
    monkeypatch.undo()
    version = tuple(map(int, torch.__version__.split(".")[:2]))
    assert all(map(varlen_attention.takes, ("return_aux", "scale", "window_size")))
    assert varlen_attention.takes("enable_gqa") == (version >= (2, 12))
    assert varlen_attention.takes("block_table") == (version >= (2, 12))


def test_keys_are_repeated_for_the_heads_where_the_kernel_does_not_share_them(monkeypatch):
    """The kernel of torch 2.11, which has no `enable_gqa`."""
    heads = []

    def earlier(query, key, value, *args, return_aux, scale, window_size):
        heads.append((query.shape[1], key.shape[1], value.shape[1]))
        options = {"return_aux": return_aux, "scale": scale, "window_size": window_size}
        return varlen_plain.varlen_attn(query, key, value, *args, **options)

    monkeypatch.setattr(varlen, "varlen_attn", earlier)
    model = tiny_llama()
    assert model.config.num_key_value_heads < model.config.num_attention_heads
    assert_as_alone(model, questions(), scored(model, questions()))
    assert set(heads) == {(model.config.num_attention_heads,) * 3}


@pytest.mark.parametrize("queries", [slice(2, 6), torch.tensor([7, 0, 3, 4])], ids=["adjacent", "anywhere"])
@pytest.mark.parametrize(("dtype", "of_scale"), [(torch.float32, 2e-6), (torch.bfloat16, 4e-3)], ids=str)
def test_partial_results_are_merged_by_their_normalisers(queries, dtype, of_scale):
    random = torch.Generator().manual_seed(2)
    result, part = (torch.randn(count, 3, 8, generator=random).to(dtype) for count in (9, 4))
    normaliser, log = (4 * torch.randn(3, count, generator=random) for count in (9, 4))
    expected, logs = varlen_plain.merged(result, normaliser, queries, part, log)
    varlen_attention.merge_partials(result, normaliser, queries, part, log)
    assert result.dtype == dtype
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=of_scale * expected.abs().max().item())
    torch.testing.assert_close(normaliser.double(), logs, rtol=0, atol=2e-6 * logs.abs().max().item())


def test_half_precision_is_rounded_no_more_often_if_one_level_is_merged_in_place(calls):
    """Cut by levels in bfloat16, against the same in float32 until the end."""
    tree = tree_of(
        pack_of([(*range(99), *range(5)), (*range(99), 7, 8, 9)]), "cpu", Paths(attention="levels")
    )
    query, key, value = (
        torch.randn(len(tree.pack), heads, 16, generator=torch.Generator().manual_seed(heads)).bfloat16()
        for heads in (4, 2, 2)
    )
    results = [
        varlen_attention.attend_by_level(tree, query, key, value, 0.3, Reach(), in_float32=exact)[0]
        for exact in (False, True)
    ]
    assert [one.dtype for one in results] == [torch.bfloat16, torch.float32]
    assert torch.equal(results[0], results[1].bfloat16())
    assert calls == [(-1, 0), (-1, -1)] * 2
