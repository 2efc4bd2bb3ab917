"""Who forgets a clamp or a soft cap is found out, though no short row of a trial reaches it."""

import pytest
import torch

from evalsuite.engine.native.fit_trees import why_it_differs
from evalsuite.engine.native.forward import plain_logits
from evalsuite.engine.native.probe import scaled_up
from evalsuite.engine.native.slots.fit import fit_for_slots
from evalsuite.engine.native.trials.trials import why_batches_differ, why_texts_differ
from tests.engine.native.decoders import DECODERS, decoder
from tests.engine.tiny import loaded

MODELS = {
    "OLMo clips queries, keys and values": (
        lambda: decoder("Olmo", clip_qkv=8.0),
        lambda model: [(model.config, "clip_qkv", None)],
    ),
    "GPT-OSS clamps its gates": (
        lambda: decoder("GptOss", head_dim=8, num_local_experts=4, num_experts_per_tok=2),
        lambda model: [(layer.mlp.experts, "limit", torch.inf) for layer in model.model.layers],
    ),
    "Gemma 2 caps the scores of attention": (
        lambda: decoder(
            "Gemma2",
            head_dim=8,
            query_pre_attn_scalar=8,
            layer_types=["full_attention"] * 2,
            initializer_range=0.1,
        ),
        lambda model: [(layer.self_attn, "attn_logit_softcapping", None) for layer in model.model.layers],
    ),
}
"""A model, and the attributes of its parts that hold a limit with what they say where there is none."""
FORMS = {
    "trees": ("evalsuite.engine.native.score_packed.run_body", why_it_differs),
    "slots": ("evalsuite.engine.native.slots.forward.run_at", lambda ready: fit_for_slots(ready)[1]),
    "batches": (
        "evalsuite.engine.native.trials.trials.batch_logits",
        lambda ready: why_batches_differ(ready, "batches"),
    ),
    "texts": (
        "evalsuite.engine.native.trials.trials.prefill",
        lambda ready: why_texts_differ(ready, "batches"),
    ),
}
"""A function that computes in each form, and why the form does not fit."""


def forgetful(original, limits):
    """The function, in a model without its limits."""

    def run(ready, *args, **options):
        kept = [(part, name, getattr(part, name)) for part, name, _ in limits(ready.model)]
        for part, name, unlimited in limits(ready.model):
            setattr(part, name, unlimited)
        try:
            return original(ready, *args, **options)
        finally:
            for part, name, value in kept:
                setattr(part, name, value)

    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MODELS)
def test_a_form_that_forgets_a_limit_is_not_used(form, name, monkeypatch):
    (make, limits), (function, why_not) = MODELS[name], FORMS[form]
    ready = loaded(make())
    assert why_not(ready) == ""
    monkeypatch.setattr(function, forgetful(_found(function), limits))
    assert "activations scaled up" in why_not(ready)
    monkeypatch.setattr(scaled_up, "SCALE", 1.0)
    assert why_not(ready) == ""


def _found(function):
    module, _, name = function.rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", DECODERS)
def test_models_that_fit_are_kept_whatever_the_scale_and_are_themselves_again(name, dtype):
    ready = loaded(DECODERS[name]().to(dtype))
    before = plain_logits(ready, (5, 6, 7, 8))
    assert why_it_differs(ready) == fit_for_slots(ready)[1] == why_batches_differ(ready, "batches") == ""
    assert torch.equal(plain_logits(ready, (5, 6, 7, 8)), before)


def test_everything_that_a_normalisation_gives_is_larger():
    ready = loaded(decoder("Olmo2"))
    row = (5, 6, 7, 8)
    before = plain_logits(ready, row)
    with scaled_up.scaled_up(ready.model):
        assert plain_logits(ready, row).std() > 10 * before.std()


def test_what_rounding_alone_makes_is_no_difference():
    ready = loaded(decoder("Olmo2"))
    rows = [(5, 6, 7, 8)]
    assert scaled_up.scaled_difference(ready, lambda: 1e-8, rows, 0.0) == 0.0
    assert scaled_up.scaled_difference(ready, lambda: 0.5, rows, 1e-3) == 0.5
