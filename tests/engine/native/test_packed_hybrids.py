"""Packed scoring of models with Mamba-2 layers gives what one request at a time gives."""

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import CONFIG_MAPPING
from transformers.models.nemotron_h import modeling_nemotron_h

from evalsuite.checkpoints import resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.fit_trees import unsupported_reason, why_it_differs
from evalsuite.engine.native.trees import walk as tree_walk
from evalsuite.engine.native.trees.attention import attending
from evalsuite.engine.native.trees.recurrent import walking
from evalsuite.engine.protocol import answers_in
from evalsuite.types import Score
from tests.draws import draws
from tests.engine.native.hybrids import HYBRIDS, hybrid, nemotron_h
from tests.engine.native.test_score_packed import (
    OF_SCALE,
    assert_as_alone,
    furthest,
    largest_logit,
    questions,
    scored,
    trees_of_requests,
)
from tests.engine.native.trees.test_mamba import tree_over
from tests.engine.tiny import loaded, log_probs_alone, save


@pytest.fixture(scope="module", params=HYBRIDS)
def model(request) -> torch.nn.Module:
    return HYBRIDS[request.param]()


@draws(4)
@given(
    requests=trees_of_requests(),
    budget=st.sampled_from([10, 40, 10_000]),
    chunk=st.sampled_from([1, 2, 5, 64]),
)
def test_a_packed_tree_scores_as_each_request_alone(model, requests, budget, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_walk, "CHUNK", chunk)
        answers = scored(model, requests, budget)
    assert_as_alone(model, requests, answers)


def test_nothing_depends_on_the_budget_or_on_how_the_tree_is_cut(model, monkeypatch):
    requests = questions(shots=150, documents=4)
    whole = scored(model, requests)
    scale = max(1.0, largest_logit(model, requests))
    assert furthest(scored(model, requests, budget=180), whole) <= 2 * OF_SCALE * scale
    monkeypatch.setattr(tree_walk, "CHUNK", 7)
    assert furthest(scored(model, requests), whole) <= 2 * OF_SCALE * scale


def test_the_model_is_itself_again_after_a_pack(model):
    ids = torch.tensor([[4, 5, 6, 7, 8, 9]])
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        implementation = model.config._attn_implementation
        scored(model, questions(documents=2))
        assert model.config._attn_implementation == implementation
        assert torch.equal(model(input_ids=ids).logits, before)


def test_the_trial_passes(model):
    assert why_it_differs(loaded(model)) == ""


def test_the_trial_finds_a_scan_that_does_not_walk(monkeypatch):
    model = nemotron_h()
    monkeypatch.setattr(
        "evalsuite.engine.native.score_packed.walking", lambda model, tree: attending(model, tree)
    )
    assert "differed" in why_it_differs(loaded(model))


@pytest.mark.parametrize(
    "family",
    [
        "nemotron_h",
        "mamba2",
        "bamba",
        "zamba2",
        "granitemoehybrid",
        "falcon_h1",
        "lfm2",
        "lfm2_moe",
        "qwen3_next",
        "qwen3_5",
        "qwen3_5_text",
        "qwen3_5_moe",
        "olmo_hybrid",
        "kimi_linear",
        *sorted({"lfm3", "bailing_hybrid"} & set(CONFIG_MAPPING)),  # not in transformers 5.17
    ],
)
def test_families_whose_recurrences_walk_are_packed_on_a_cpu_and_a_gpu(family):
    assert unsupported_reason({"model_type": family}, "cpu", remote_code=False) == ""
    assert unsupported_reason({"model_type": family}, "cuda", remote_code=False) == ""
    assert "code of its own" in unsupported_reason(
        {"model_type": family, "auto_map": {}}, "cpu", remote_code=True
    )


@pytest.mark.parametrize("family", ["mamba", "falcon_mamba", "jamba", "zamba", "zaya"])
def test_other_recurrent_families_are_not(family):
    assert unsupported_reason({"model_type": family}, "cpu", remote_code=False)


def test_a_floor_under_the_time_steps_is_kept_where_the_mixers_have_one():
    """Zamba2 was trained with one; and a Nemotron-H that is not corrected must fit its own single
    sequences."""
    requests = questions(shots=40, documents=3)
    with_floor, without = nemotron_h(), nemotron_h()
    for layer in with_floor.model.layers:
        if hasattr(layer.mixer, "time_step_limit"):
            layer.mixer.time_step_limit = (0.3, float("inf"))
    answers = scored(with_floor, requests)
    assert furthest(answers, scored(without, requests)) > 0.1
    assert furthest(answers, alone(with_floor, requests)) <= OF_SCALE * largest_logit(with_floor, requests)


def alone(model, requests) -> dict:
    return {
        one: Score(tuple(log_probs_alone(model, one.context, one.continuation)), False) for one in requests
    }


@pytest.mark.parametrize("name", ["nemotron_h", "mamba2"])
def test_half_precision_differs_by_rounding_alone(name):
    requests = questions(shots=100)
    reference = scored(HYBRIDS[name](), requests)
    model = HYBRIDS[name]().to(torch.bfloat16)
    assert furthest(scored(model, requests), reference) <= 2 * furthest(alone(model, requests), reference)


def test_another_thread_is_not_in_the_tree():
    tree, _ = tree_over([(2, 3, 4), (2, 3, 5)])
    ids, seen = torch.tensor([[2, 3, 4, 5, 6]]), []
    model = nemotron_h()
    with torch.inference_mode():
        before = model(input_ids=ids).logits

    def elsewhere() -> None:
        with torch.inference_mode():
            seen.append(nemotron_h()(input_ids=ids).logits)

    with attending(model, tree), walking(model, tree):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert torch.equal(seen[0], before)


def test_transformers_functions_are_wrapped_once():
    requests = questions(documents=1)
    scored(nemotron_h(), requests)
    once = modeling_nemotron_h.mamba2_chunk_scan
    scored(nemotron_h(), requests)
    assert modeling_nemotron_h.mamba2_chunk_scan is once


def test_the_engine_scores_a_hybrid_on_packs_as_it_does_in_batches(tmp_path):
    files = resolve(str(save(nemotron_h(), tmp_path)))
    requests = questions(shots=100)
    packs, batches = (
        TransformersEngine(files, device="cpu", token_budget=150, packed=packed) for packed in (True, False)
    )
    answers = [dict(answers_in(engine.score(requests))) for engine in (packs, batches)]
    assert packs.identity.numerics == "transformers float32 cpu packed"
    assert furthest(*answers) <= OF_SCALE * largest_logit(nemotron_h(), requests)
    assert not any("batches" in note for note in packs.notes)


def test_a_shorter_window_and_another_activation_fit_too():
    model = hybrid(
        "Mamba2",
        num_hidden_layers=2,
        num_heads=8,
        head_dim=8,
        state_size=16,
        n_groups=1,
        conv_kernel=2,
        hidden_act="relu",
        use_conv_bias=False,
    )
    requests = questions(shots=30, documents=3)
    assert furthest(scored(model, requests), alone(model, requests)) <= OF_SCALE * max(
        1.0, largest_logit(model, requests)
    )
