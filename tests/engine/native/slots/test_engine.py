"""The engine's `generate`: slots where the model allows it, batches and a note where it does not."""

from dataclasses import replace

import pytest

from evalsuite.checkpoints import resolve
from evalsuite.engine.engines import split_arguments
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.trials.graphs import graphing_for
from evalsuite.engine.protocol import Begun, Planned, answers_in
from evalsuite.errors import UserError
from evalsuite.types import GenerateRequest
from tests.engine.native.slots.recording import graphing
from tests.engine.tiny import save, tiny_hybrids

SHOTS = tuple(range(2, 82))
REQUESTS = [GenerateRequest((*SHOTS, *range(9, 9 + own)), (), 5) for own in (1, 4, 2, 7)]


def answers_of(blocks):
    return dict(answers_in(blocks))


def test_a_shared_prefix_is_planned_and_computed_once(llama_files):
    engine = TransformersEngine(llama_files, device="cpu")
    first, begun, *blocks = engine.generate(REQUESTS)
    distinct = len(SHOTS) + 1 + 4 + 2 + 7
    assert (first, begun) == (Planned(distinct + 4 * 5), Begun())
    decoded = sum(answer.tokens - 1 for answer in answers_of(blocks).values())
    assert sum(block.tokens for block in blocks) == distinct + decoded
    assert engine.notes == ()


def test_a_resumed_run_generates_the_same_texts_and_only_what_is_missing(llama_files):
    engine = TransformersEngine(llama_files, device="cpu")
    whole = answers_of(engine.generate(REQUESTS))
    rest = answers_of(engine.generate(REQUESTS, answered=REQUESTS[:3]))
    assert rest == {REQUESTS[3]: whole[REQUESTS[3]]}


@pytest.fixture(scope="module")
def mamba_files(tmp_path_factory):
    return resolve(str(save(tiny_hybrids()["mamba"].eval(), tmp_path_factory.mktemp("mamba"))))


def test_a_model_that_slots_do_not_fit_generates_in_batches_and_says_so(mamba_files):
    engine = TransformersEngine(mamba_files, device="cpu")
    answers = answers_of(engine.generate(REQUESTS))
    for request in REQUESTS:
        assert answers_of(engine.generate([request])) == {request: answers[request]}
    (note,) = (note for note in engine.notes if "texts" in note)
    assert note.startswith("texts are generated in batches: with slots its logits are off by")


def test_a_refusal_to_record_steps_is_said_once_and_texts_stay(llama_files):
    whole = answers_of(TransformersEngine(llama_files, device="cpu").generate(REQUESTS))
    engine = TransformersEngine(llama_files, device="cpu")
    assert engine.generator.graphing is None
    use = engine.generator.graphing = graphing()
    many = [GenerateRequest(one.context, (), 30) for one in REQUESTS]
    answers_of(engine.generate(many))
    assert use.replayed
    assert engine.notes == ()
    use.refused = "operation not permitted when stream is capturing"
    assert answers_of(engine.generate(REQUESTS)) == whole
    answers_of(engine.generate(REQUESTS[:2]))
    (note,) = engine.notes
    assert note == (
        "no more decode steps are captured as graphs: operation not permitted when stream is capturing"
    )


@pytest.mark.parametrize(
    ("device", "arguments", "recorded"),
    [
        ("cuda", {}, True),
        ("cuda:1", {"graphs": "yes"}, True),
        ("cuda", {"graphs": "no"}, False),
        ("cuda", {"deterministic": "yes"}, False),
        ("cpu", {"graphs": "yes"}, False),
        ("mps", {}, False),
    ],
)
def test_steps_are_recorded_on_a_gpu_unless_it_was_said_otherwise(llama_files, device, arguments, recorded):
    engine = TransformersEngine(llama_files, device="cpu", arguments=arguments)
    engine.model.device = device
    assert (engine.tried.wanted_paths.graphs == "cuda") == recorded


def test_steps_are_compared_as_closely_as_the_data_type_allows(llama_files, monkeypatch):
    monkeypatch.setattr("torch.cuda.Stream", lambda device: device)
    loaded = TransformersEngine(llama_files, device="cpu").model.loaded
    use = graphing_for(replace(loaded, device="cuda:1"))
    assert use.recorder._stream == "cuda:1"
    assert use.allowed == 1e-3


def test_graphs_are_wanted_or_not(llama_files):
    with pytest.raises(UserError, match="graphs must be yes or no, got 'maybe'"):
        TransformersEngine(llama_files, arguments={"graphs": "maybe"})
    assert split_arguments("native", ["graphs=no"]) == (("graphs=no",), ())
