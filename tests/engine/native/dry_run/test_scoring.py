"""Packs on a pretended GPU: nothing waits between packs, types are as meant, and memory is as estimated."""

from dataclasses import asdict

import pytest
import torch

from evalsuite.engine.native.paths import PLAIN
from evalsuite.engine.protocol import Answered
from evalsuite.types import Score
from tests.engine.native.dry_run.engines import dry_run, endings, multiple_choice
from tests.engine.native.facts import FACTS, few_layers

WAITS = {"transfer.py arrived": "a pack's answers, while the device computes the next pack"}
"""Every place where the host waits while packs are scored, and why."""
WIDE = {(torch.float64, "trees/kernels/scan.py path_scan")}
"""Large tensors wider than float32: sums of decays, (heads, tokens)."""
REQUESTS = {"multiple choice": multiple_choice(6, 34), "endings": endings(18)}
"""Each with a pack of 14,000 to 16,000 tokens and a smaller one."""


def scored(facts, requests, folder, most=2.8, **paths):
    """Score; the estimate may be `most` times the largest number of bytes: it also covers plain paths."""
    with dry_run(facts, folder, **paths) as dry:
        types = types_of(dry.engine.model.loaded.model)
        events = [*dry.engine.score(requests)]
        answers = dict(pair for event in events if isinstance(event, Answered) for pair in event.answers)
        assert answers.keys() == set(requests)
        assert all(isinstance(answer, Score) for answer in answers.values())
        plan, limits = dry.engine.scorer.plan_packs(requests), dry.engine.limits
        assert dict(dry.watch.waits) == {"transfer.py arrived": len(plan.runs)}
        assert dry.watch.wide <= WIDE or "scan" in paths
        assert types == {"layers": {torch.bfloat16}, "head": {torch.float32}}
        tokens = plan.inputs.tokens_of(plan.runs[0])
        assert 13_000 < tokens <= limits.pack_tokens
        estimate = dry.engine.model.needs.on_gpu(tokens, limits.sizes.positions_per_chunk)
        assert dry.watch.peak <= estimate <= most * dry.watch.peak
        assert dry.watch.left == 0
    return dry


def types_of(model):
    """Types of what a model's layers and its head give; filled while it runs."""
    types = {"layers": set(), "head": set()}

    def see(name):
        def hook(module, args, output):
            types[name].add((output[0] if isinstance(output, tuple) else output).dtype)

        return hook

    layers = next(module for module in model.modules() if isinstance(module, torch.nn.ModuleList))
    for layer in layers:
        layer.register_forward_hook(see("layers"))
    model.get_output_embeddings().register_forward_hook(see("head"))
    return types


@pytest.mark.parametrize(
    ("name", "asked"), [("8B hybrid", "endings"), ("8B dense", "multiple choice"), ("12B windows", "endings")]
)
def test_packs_of_a_model_with_few_layers(name, asked, tmp_path):
    scored(few_layers(name), REQUESTS[asked], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("asked", REQUESTS)
@pytest.mark.parametrize("name", FACTS)
def test_packs_of_a_whole_model(name, asked, tmp_path):
    scored(FACTS[name], REQUESTS[asked], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["levels", "levels-flex", "flex", "torch"])
@pytest.mark.parametrize("name", FACTS)
def test_every_path_of_attention(name, attention, tmp_path):
    scored(few_layers(name), REQUESTS["endings"], tmp_path, attention=attention)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["8B hybrid", "47B hybrid", "8B dense", "32B dense"])
def test_the_estimate_holds_where_no_kernel_works(name, tmp_path):
    plain = {part: value for part, value in asdict(PLAIN).items() if part != "graphs"}
    scored(few_layers(name), REQUESTS["endings"], tmp_path, most=2.0, **plain)
