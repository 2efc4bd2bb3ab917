"""The smoke test of a model: what it measures, when it is answered, and what it says."""

import math
import shutil

import pytest

from evalsuite.engine.openai.engine import KIND
from evalsuite.progress import Silent
from evalsuite.results.runlog import read_run
from evalsuite.results.smoke import JUMP, LIMIT, SmokeRecord, jump_since, smoke_line, smoke_warning
from evalsuite.results.tables import remarks
from evalsuite.runs.smoke import TEXTS, SmokeTest, text_of
from evalsuite.types import Failure
from tests.runs.bench import Bench, ByteTokenizer, ScriptedEngine

NATS = math.log(2)


class Warned(Silent):
    def __init__(self):
        self.sentences = []

    def warn(self, sentence):
        self.sentences.append(sentence)


@pytest.fixture
def bench(tmp_path):
    return Bench.make(tmp_path)


def engine(bits_per_byte, **more) -> ScriptedEngine:
    """Every byte, which is a token, costs as many bits."""
    return ScriptedEngine(likelihood=lambda text: -bits_per_byte * NATS, **more)


def texts_asked(scripted) -> list[str]:
    return [scripted.tokenizer.decode(request.context + request.continuation) for request in scripted.asked]


def test_it_is_answered_first_and_counts_every_byte_once(bench):
    scripted, warned = engine(1.25), Warned()
    log = bench.execute(scripted, "quiz", smoke=True, progress=warned)
    assert (log.smoke.passed, log.smoke.english, log.smoke.program) == (
        True,
        pytest.approx(1.25),
        pytest.approx(1.25),
    )
    assert texts_asked(scripted)[:2] == [text_of(name) for name in TEXTS]
    assert warned.sentences == []
    assert not [line for line in remarks(log) if "moke" in line]
    assert read_run(bench.out).smoke == log.smoke


def test_a_window_smaller_than_the_texts_changes_nothing(bench):
    assert bench.execute(engine(1.25, max_length=100), "quiz", smoke=True).smoke.english == pytest.approx(
        1.25
    )


def test_scores_and_costs_are_those_of_a_run_without_it(bench):
    with_it = bench.execute(engine(1.0), "quiz", "pairs", smoke=True)
    shutil.rmtree(bench.out)
    without = bench.execute(engine(1.0), "quiz", "pairs")
    assert without.smoke is None
    timeless = [
        [task.model_copy(update={"seconds": 0.0}) for task in log.tasks] for log in (with_it, without)
    ]
    assert timeless[0] == timeless[1]


def test_an_untrained_model_is_named_before_the_tasks_and_the_run_goes_on(bench):
    warned = Warned()
    scripted = engine(3.6)
    log = bench.execute(scripted, "quiz", smoke=True, progress=warned)
    assert (log.status, log.smoke.passed) == ("complete", False)
    assert len(warned.sentences) == 1
    assert "3.60 bits per byte" in warned.sentences[0]
    assert "legitimately random" in warned.sentences[0]
    assert remarks(log)[0] == warned.sentences[0]


def test_a_continued_run_does_not_repeat_it(bench):
    texts = {text_of(name) for name in TEXTS}
    broken = ScriptedEngine(likelihood=lambda text: -NATS if text in texts else Failure("lost"))
    assert bench.execute(broken, "quiz", smoke=True).status == "incomplete"
    again = engine(9.0)
    log = bench.execute(again, "quiz", smoke=True)
    assert log.status == "complete"
    assert not set(texts_asked(again)) & texts
    assert log.smoke.english == pytest.approx(1.0)


def test_where_all_is_answered_nothing_is_loaded_for_it(bench):
    first = engine(1.0)
    bench.execute(first, "quiz")
    (bench.out / "run.json").unlink()
    again = engine(1.0)
    assert bench.execute(again, "quiz", smoke=True).smoke is None
    assert again.asked == []


def test_numbers_that_are_none_are_the_models_fault(bench):
    log = bench.execute(engine(math.nan), "quiz", smoke=True)
    assert log.smoke.passed is False
    assert "NaN" in smoke_warning(log.smoke)


def test_token_ids_outside_the_vocabulary_are_the_models_fault(bench):
    log = bench.execute(engine(1.0, vocabulary=100), "quiz", smoke=True)
    assert log.smoke.passed is False
    assert "belongs to another model" in log.smoke.problem


def test_a_failure_of_the_infrastructure_is_no_verdict(bench):
    texts = {text_of(name) for name in TEXTS}
    scripted = ScriptedEngine(likelihood=lambda text: Failure("out of memory") if text in texts else -1.0)
    log = bench.execute(scripted, "quiz", smoke=True)
    assert (log.status, log.smoke.passed) == ("complete", None)
    assert smoke_warning(log.smoke) == "The smoke test gave no number: out of memory."


def test_a_tokenizer_that_cannot_begin_a_text_gives_no_verdict():
    class Bare(ByteTokenizer):
        prefix_id = eos_id = None

    found = SmokeTest.of(Bare(), None)
    assert found.distinct == []
    assert found.judged({}).passed is None
    assert found.judged({}).problem


def test_an_engine_that_asks_a_server_is_not_tested():
    assert not KIND.needs_files


@pytest.mark.parametrize(
    ("english", "program", "passed"), [(1.0, 3.0, True), (3.0, 1.0, True), (3, 3, False)]
)
def test_the_text_that_the_model_knows_better_decides(english, program, passed):
    assert SmokeRecord.of(english, program).passed is passed
    assert f"{english:.3f} bits per byte" in smoke_line(SmokeRecord.of(english, program))
    assert max(english, program) > LIMIT


def test_a_jump_between_checkpoints_is_named():
    good, worse = SmokeRecord.of(1.0, 0.5), SmokeRecord.of(1.0 + JUMP + 0.1, 0.6)
    assert jump_since(good, worse) == "bits per byte rose of plain English from 1.00 to 1.35"
    assert jump_since(worse, good) == jump_since(None, worse) == jump_since(SmokeRecord.of(4, 4), worse) == ""
