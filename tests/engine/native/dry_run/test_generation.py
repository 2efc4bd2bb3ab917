"""Texts on a pretended GPU: no unknown wait where slots are filled and refilled, and memory as estimated."""

from dataclasses import replace

import pytest
import torch

from evalsuite.engine.native.memory_estimate import SLOT_SCORES_BYTES
from evalsuite.engine.native.slot_estimate import slot_needs
from evalsuite.engine.native.slots import graphs as graphs_module
from evalsuite.engine.native.slots.attention import LARGEST_SCORES_ELSEWHERE
from evalsuite.engine.native.slots.cache import ROOM_STEP, Prefix
from evalsuite.engine.native.slots.capacity import STORED_BEYOND
from evalsuite.engine.native.slots.prefix_pool import place_of
from evalsuite.engine.protocol import Answered
from evalsuite.types import Generated
from tests.engine.native.dry_run.engines import dry_run, problems
from tests.engine.native.facts import FACTS, few_layers

WAITS = {
    "slots/generate.py _decoded": "the tokens of several steps arrive together, before the search for stops",
    "slots/generate.py _prefill": "the first token of each new row arrives, before the search for stops",
    "slots/generate.py _checked": "the draft tokens that a pass accepted decide what comes next",
    "forward.py run_at": "transformers' cache of a layer with a window copies a number, once a prefix",
}
"""Every place where the host waits while texts are generated, and why."""
CAPTURES = {
    "slots/graphs.py _largest_share": "a captured step is compared with a plain one, once for each shape",
    "differences.py difference_of": "the same",
    "slots/prefix_pool.py _is_finite": "a prefix with NaN or infinity is kept out of the pool, once for each",
}
"""Further places, where steps are captured."""


def estimate(dry, prompts, slots):
    """Bytes of a generation: its slots, its prefix, and a pass over prompts or a step of all rows."""
    config, limits = dry.engine.model.config, dry.engine.limits
    slot = slot_needs(config, "bfloat16")
    shared = 1000
    prompt = max(len(request.context) for request in prompts) - shared
    own = prompt + max(request.max_tokens for request in prompts) + STORED_BEYOND
    chunk = config.get("chunk_size", 1)  # scans pad each prompt
    positions = min(limits.sizes.prefill_positions, slots * -(-prompt // chunk) * chunk)
    passes = dry.engine.model.needs.prefill(max(positions, shared), slots)
    return slots * slot.of(-(-own // ROOM_STEP) * ROOM_STEP) + 2 * slot.of(place_of(shared)) + passes


@pytest.mark.parametrize(
    ("name", "graphs", "prompts"),
    [("8B hybrid", True, "kernels"), ("8B hybrid", True, "model"), ("32B dense", False, "model")],
)
def test_texts_with_refills(name, graphs, prompts, tmp_path, monkeypatch):
    monkeypatch.setattr(graphs_module, "WANTED", 1)  # there are few steps
    written(few_layers(name), tmp_path, graphs=graphs, requests=10, slots=4, prompts=prompts)


def test_the_estimate_knows_how_many_scores_attention_over_slots_holds():
    assert SLOT_SCORES_BYTES == 4 * 4 * LARGEST_SCORES_ELSEWHERE


def written(facts, folder, *, graphs, requests, slots, prompts="model"):
    # Drafts of greedy texts would leave few steps to capture.
    sampled = graphs and facts.name != "NemotronH"
    asked = [replace(one, temperature=float(sampled)) for one in problems(requests, (3, 14, 14))]
    with dry_run(facts, folder, graphs=graphs, prompts=prompts) as dry:
        dry.engine.limits.sizes = replace(dry.engine.limits.sizes, most_slots=slots)
        events = [*dry.engine.generate(asked)]
        answers = dict(pair for event in events if isinstance(event, Answered) for pair in event.answers)
        assert len(answers) == requests
        for request, answer in answers.items():
            assert isinstance(answer, Generated)
            assert answer.tokens == request.max_tokens
        assert set(dry.watch.waits) <= set(WAITS) | (set(CAPTURES) if graphs else set())
        needed = estimate(dry, asked, slots)
        assert dry.watch.peak <= needed
        if prompts == "model":  # kernels hold less
            assert needed <= 2 * dry.watch.peak + SLOT_SCORES_BYTES
        layers = Prefix.of(dry.engine.tried.fit.slots.like, 1).layers
        assert {state.dtype for layer in layers for state in layer.recurrent} <= {torch.float32}
        assert {layer.keys.dtype for layer in layers if layer.keys is not None} == {torch.bfloat16}
        graphing = dry.engine.generator.graphing
        if graphs:
            assert not graphing.refused
            assert graphing.replayed > graphing.recorded > 0
    return dry


@pytest.mark.slow
@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("name", FACTS)
def test_texts_of_a_whole_model(name, graphs, tmp_path):
    written(FACTS[name], tmp_path, graphs=graphs, requests=10, slots=4)
