"""Every request gets an answer: from the store, else from the engine, and then stored at once."""

import math

import pytest

from evalsuite.engine.protocol import Answered, Begun, Planned
from evalsuite.errors import ModelError
from evalsuite.progress import Silent
from evalsuite.results.store import ResponseStore, request_key
from evalsuite.runs.answering import answer, tokens_by_request
from evalsuite.types import Failure, Generated, GenerateRequest, Score, ScoreRequest
from tests.runs.bench import ScriptedEngine

SCORES = [ScoreRequest((50, 51, 52, 50 + place), (60,)) for place in range(10)]
TEXTS = [GenerateRequest((50, 51, 50 + place), (), 8) for place in range(6)]


@pytest.fixture
def store(tmp_path):
    opened = ResponseStore(tmp_path / "responses.sqlite")
    yield opened
    opened.close()


def texts_engine(**options) -> ScriptedEngine:
    return ScriptedEngine(text=lambda context: f"after {context}", **options)


def stored(store, requests, engine):
    """Answers in the store, in the order of the requests; None where there is none."""
    keys = [request_key(request, engine.identity) for request in requests]
    found = store.get(keys)
    return [found.get(key) for key in keys]


def test_every_request_is_answered_once_and_stored(store):
    engine = texts_engine()
    answers = answer(SCORES, TEXTS, engine, store, Silent())
    assert engine.asked == [*SCORES, *TEXTS]
    assert answers.by_request.keys() == answers.costs.keys() == {*SCORES, *TEXTS}
    assert answers.by_request[SCORES[0]] == Score((-1.0,), False)
    assert isinstance(answers.by_request[TEXTS[0]], Generated)
    assert answers.cost(answers.costs)[0] == pytest.approx(4 * 10 + 3 * 6)
    assert stored(store, SCORES + TEXTS, engine) == list(answers.by_request.values())


def test_what_is_stored_is_not_asked_again(store):
    answer(SCORES[:7], TEXTS[:2], texts_engine(), store, Silent())
    engine = texts_engine()
    answers = answer(SCORES, TEXTS, engine, store, Silent())
    assert engine.asked == [*SCORES[7:], *TEXTS[2:]]
    assert answers.costs.keys() == {*SCORES[7:], *TEXTS[2:]}
    assert answers.by_request.keys() == {*SCORES, *TEXTS}


def test_an_engine_is_not_touched_where_nothing_is_missing(store):
    answer(SCORES, TEXTS, texts_engine(), store, Silent())

    class Untouchable(ScriptedEngine):
        def score(self, requests, answered=()):
            raise AssertionError

        generate = score

    answers = answer(SCORES, TEXTS, Untouchable(), store, Silent())
    assert answers.by_request.keys() == {*SCORES, *TEXTS}
    assert answers.costs == {}


def test_blocks_before_a_crash_are_kept_and_the_block_in_flight_is_not(store):
    class Crashing(ScriptedEngine):
        def score(self, requests, answered=()):
            for place, block in enumerate(super().score(requests, answered)):
                if place == 3:
                    raise RuntimeError("the machine is on fire")
                yield block

    engine = Crashing(block=3)
    with pytest.raises(RuntimeError, match="on fire"):
        answer(SCORES, [], engine, store, Silent())
    assert len(store) == 6
    again = ScriptedEngine(block=3)
    answer(SCORES, [], again, store, Silent())
    assert again.asked == SCORES[6:]


def test_a_failure_is_an_answer_now_and_a_question_again_next_time(store):
    broken = ScriptedEngine(likelihood=lambda text: Failure("no") if "y" in text else -1.0)
    odd = ScoreRequest(tuple(2 + ord(sign) for sign in "y?"), (60,))
    answers = answer([*SCORES, odd], [], broken, store, Silent())
    assert answers.by_request[odd] == Failure("no")
    assert len(store) == len(SCORES)
    mended = ScriptedEngine()
    answers = answer([*SCORES, odd], [], mended, store, Silent())
    assert mended.asked == [odd]
    assert answers.by_request[odd] == Score((-1.0,), False)


def test_nan_is_a_failure_not_a_score(store):
    engine = ScriptedEngine(likelihood=lambda text: math.nan)
    answers = answer(SCORES[:2], [], engine, store, Silent())
    assert all(isinstance(one, Failure) and "NaN" in one.reason for one in answers.by_request.values())
    assert len(store) == 0


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_a_failure_not_a_score(store, value):
    engine = ScriptedEngine(likelihood=lambda text: value)
    [answered] = answer(SCORES[:1], [], engine, store, Silent()).by_request.values()
    assert isinstance(answered, Failure)
    assert f"{value:+}" in answered.reason
    assert len(store) == 0


def test_a_sum_that_overflows_is_a_failure_though_its_parts_are_numbers(store):
    class Rounding(ScriptedEngine):
        def _score(self, request):
            return Score((-60_000.0, -60_000.0), False, -math.inf)

    [answered] = answer(SCORES[:1], [], Rounding(), store, Silent()).by_request.values()
    assert isinstance(answered, Failure)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_an_answer_that_is_no_number_in_a_store_of_an_earlier_version_is_asked_again(store, value):
    key = request_key(SCORES[0], ScriptedEngine().identity)
    store.put([(key, Score((value,), False))])
    engine = ScriptedEngine()
    assert answer(SCORES[:1], [], engine, store, Silent()).by_request == {SCORES[0]: Score((-1.0,), False)}
    assert engine.asked == SCORES[:1]


def test_a_token_without_a_row_costs_its_own_requests_and_is_not_asked(store):
    """The byte tokenizer's ids are bytes and two more."""
    engine = texts_engine(vocabulary=60)
    answers = answer(SCORES, TEXTS, engine, store, Silent()).by_request
    failed = {one for one, answered in answers.items() if isinstance(answered, Failure)}
    assert failed == {*SCORES}
    assert engine.asked == TEXTS
    assert {one.reason for one in map(answers.get, failed)} == {
        "the tokenizer gave token id 60 for ':', but the model's vocabulary has 60 rows: the tokenizer "
        "belongs to another model, or tokens were added to it without resizing the embedding"
    }
    assert len(store) == len(TEXTS)
    again = texts_engine(vocabulary=61)
    answer(SCORES, TEXTS, again, store, Silent())
    assert again.asked == SCORES


def test_every_process_of_a_run_leaves_out_the_same_requests(store):
    engine = texts_engine(vocabulary=60)
    others = frozenset(SCORES[:5])
    assert answer(SCORES, [], engine, store, Silent(), others).by_request.keys() == {*SCORES[5:]}
    assert engine.asked == []


def test_a_model_that_cannot_generate_costs_its_texts_and_not_the_run(store):
    class Mute(ScriptedEngine):
        def generate(self, requests, answered=()):
            yield Planned(9)
            yield Begun()
            yield Answered(((requests[0], Generated("a", 1, "eos")),), 1)
            raise ModelError("Mute returns no cache.")

    answers = answer(SCORES, TEXTS, Mute(), store, Silent()).by_request
    assert all(isinstance(answers[one], Score) for one in SCORES)
    assert answers[TEXTS[0]] == Generated("a", 1, "eos")
    assert {answers[one] for one in TEXTS[1:]} == {Failure("no text was generated: Mute returns no cache.")}


def test_where_an_error_ends_the_engine_it_ends_the_run(store):
    """As with tensor parallelism: the other processes are gone."""

    class Ended(ScriptedEngine):
        ends_on_error = True

        def generate(self, requests, answered=()):
            yield Planned(9)
            yield Begun()
            raise ModelError("Mute returns no cache.")

    with pytest.raises(ModelError, match="Mute returns no cache"):
        answer([], TEXTS, Ended(), store, Silent())


def test_a_model_that_cannot_be_loaded_ends_the_run(store):
    class Unreadable(ScriptedEngine):
        def generate(self, requests, answered=()):
            yield Planned(9)
            raise ModelError("no weights")

    with pytest.raises(ModelError, match="no weights"):
        answer([], TEXTS, Unreadable(), store, Silent())


def test_an_answer_that_is_computed_again_beside_missing_ones_stays_the_stored_one(store):
    """A half-answered batch runs whole; another machine's last digits must not mix in."""
    answer(SCORES[:2], [], ScriptedEngine(), store, Silent())

    class WholeBatches(ScriptedEngine):
        def score(self, requests, answered=()):
            yield from super().score(requests, ())

    other = WholeBatches(likelihood=lambda text: -1.0000001)
    answers = answer(SCORES, [], other, store, Silent())
    assert [answers.by_request[one].log_probs for one in SCORES[:3]] == [(-1.0,), (-1.0,), (-1.0000001,)]
    assert stored(store, SCORES, other) == [answers.by_request[one] for one in SCORES]


def test_the_engine_is_told_all_requests_so_that_its_plan_stays_the_same(store):
    seen = []

    class Watched(ScriptedEngine):
        def score(self, requests, answered=()):
            seen.append((list(requests), set(answered)))
            yield from super().score(requests, answered)

    answer(SCORES[:3], [], Watched(), store, Silent())
    answer(SCORES, [], Watched(), store, Silent())
    assert seen == [(SCORES[:3], set()), (SCORES, set(SCORES[:3]))]


def test_progress_hears_each_stage_that_has_work_and_every_token(store):
    class Heard:
        def __init__(self):
            self.stages, self.tokens, self.planned = [], 0, set()

        def stage(self, stage):
            self.stages.append(stage.name)

        def advance(self, tokens, planned):
            self.tokens += tokens
            self.planned.add(planned)

    heard = Heard()
    answer(SCORES, [], texts_engine(), store, heard)
    assert (heard.stages, heard.tokens, heard.planned) == (["scoring"], 40, {40})
    heard = Heard()
    answer(SCORES, TEXTS, texts_engine(), store, heard)
    assert (heard.stages, heard.tokens, heard.planned) == (["generating"], 18, {18})


def test_progress_hears_of_a_plan_that_is_corrected(store):
    class Estimating(ScriptedEngine):
        def score(self, requests, answered=()):
            yield Planned(100)
            yield Begun()
            yield Planned(7)
            yield Answered(tuple((one, Score((-1.0,), False)) for one in requests), 7)

    heard: list[tuple[int, int]] = []

    class Heard(Silent):
        def advance(self, count, planned):
            heard.append((count, planned))

    answer(SCORES, [], Estimating(), store, Heard())
    assert heard == [(0, 100), (0, 100), (0, 7), (7, 7)]


def test_requests_of_one_model_input_share_its_tokens():
    context = tuple(range(10))
    letters = [ScoreRequest(context, (choice,)) for choice in (1, 2, 3, 4)]
    longer = ScoreRequest(context, tuple(range(31)))
    answers = tuple((request, Score((-1.0,), False)) for request in [*letters, longer])
    costs = tokens_by_request(Answered(answers, tokens=50))
    assert [costs[request] for request in letters] == [2.5] * 4
    assert costs[longer] == 40
