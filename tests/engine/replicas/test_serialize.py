"""Requests and answers survive the way between driver and worker, to the last bit."""

from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.replicas.serialize import (
    pack_requests,
    pack_responses,
    unpack_requests,
    unpack_responses,
)
from evalsuite.types import Failure, Generated, GenerateRequest, Score, ScoreRequest

ids = st.lists(st.integers(0, 2**20), min_size=1, max_size=5).map(tuple)
scores = st.builds(ScoreRequest, ids, ids)
texts = st.builds(
    GenerateRequest,
    context=ids,
    stop=st.lists(st.text(max_size=3), max_size=2).map(tuple),
    max_tokens=st.integers(1, 9),
    temperature=st.floats(0, 2),
    seed=st.integers(0, 2**63),
    sample=st.integers(0, 9),
)
log_probs = st.lists(st.floats(max_value=0), max_size=5).map(tuple)
responses = st.one_of(
    st.builds(Score, log_probs, st.booleans(), st.none() | st.floats(max_value=0)),
    st.builds(Generated, st.text(), st.integers(0, 9), st.sampled_from(["stop", "eos", "length", "window"])),
    st.builds(Failure, st.text()),
)


@given(st.one_of(st.lists(scores), st.lists(texts)))
def test_requests_come_back_as_they_were(requests):
    assert unpack_requests(pack_requests(requests)) == requests


@given(st.lists(responses))
def test_answers_come_back_as_they_were(answers):
    assert repr(unpack_responses(pack_responses(answers))) == repr(answers)


def test_a_context_that_many_share_is_sent_once():
    def choices(count: int) -> bytes:
        return pack_requests([ScoreRequest(tuple(range(1000)), (one,)) for one in range(count)])

    assert len(choices(4)) < len(choices(1)) + 60
