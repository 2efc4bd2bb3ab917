"""The engine's `generate`: slots where the model allows it, batches and a note where it does not."""

import pytest

from evalsuite.checkpoints import resolve
from evalsuite.engine import TransformersEngine
from evalsuite.types import GenerateRequest

from .tiny import save, tiny_hybrids

SHOTS = tuple(range(2, 82))
REQUESTS = [GenerateRequest((*SHOTS, *range(9, 9 + own)), (), 5) for own in (1, 4, 2, 7)]


def answers_of(blocks):
    return {request: answer for block in blocks for request, answer in block.answers}


def test_a_shared_prefix_is_planned_and_computed_once(llama_files):
    engine = TransformersEngine(llama_files, device="cpu")
    first, *blocks = engine.generate(REQUESTS)
    distinct = len(SHOTS) + 1 + 4 + 2 + 7
    assert first.planned == distinct + 4 * 5
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
