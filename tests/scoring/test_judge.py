"""From answers to samples, for every status and every kind of question."""

from dataclasses import replace
from pathlib import Path

import pytest

from evalsuite.errors import UserError
from evalsuite.prompting.spec import GenerationSpec
from evalsuite.requests.build import build_requests
from evalsuite.scoring.judge import judge as judged
from evalsuite.scoring.texts import refuse_missing_graders
from evalsuite.types import Failure, Generated, MultipleChoice, Score
from tests.golden.golden import needs_side_package
from tests.runs.bench import Bench, ByteTokenizer

TOKENIZER = ByteTokenizer()


def judge(*arguments):
    return judged(*arguments).samples


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench.make(tmp_path_factory.mktemp("bench"), documents=4)


def with_spec(prepared, **changes):
    spec = prepared.selected.spec.model_copy(update=changes)
    return replace(prepared, selected=replace(prepared.selected, spec=spec))


def scores(asked, best: int):
    """Answers in which the choice `best` of every document is the likeliest."""
    return {
        request: Score((-0.1 if place == best else -2.0,) * len(request.continuation), place == best)
        for one in asked
        for place, request in enumerate(one.requests)
    }


@pytest.mark.parametrize("address", ["quiz", "quiz:letters", "pairs"])
def test_choices_are_judged_by_log_likelihood(bench, address):
    prepared = bench.prepared(address)
    asked = build_requests(prepared, TOKENIZER, None, 0)
    for best in range(2):
        samples = judge(prepared, asked, scores(asked, best), None)
        for sample, document in zip(samples, prepared.documents, strict=True):
            assert (sample.status, sample.reason, sample.prediction) == ("scored", "", str(best))
            assert sample.gold == str(document.question.answer)
            assert set(sample.metrics) == set(prepared.selected.spec.metrics)
            assert sample.metrics["acc"] == float(document.question.answer == best)


def test_the_headline_decides_which_prediction_is_shown(bench):
    prepared = bench.prepared("quiz", limit=1)
    [one] = asked = build_requests(prepared, TOKENIZER, None, 0)
    assert one.prompt.continuations == (" 2", " 3 or so", " 1")
    totals = dict(zip(one.requests, (-2.0, -4.0, -3.0), strict=True))
    answers = {
        request: Score((total,) + (0.0,) * (len(request.continuation) - 1), False)
        for request, total in totals.items()
    }
    [by_norm] = judge(prepared, asked, answers, None)  # -2.0, -0.57, -3.0 per character
    [by_sum] = judge(with_spec(prepared, metrics=("acc", "acc_norm")), asked, answers, None)
    assert (by_norm.prediction, by_sum.prediction) == ("1", "0")
    assert by_norm.metrics == by_sum.metrics == {"acc": 0.0, "acc_norm": 1.0}


def test_lengths_leave_out_the_delimiter(bench):
    prepared = bench.prepared("quiz", limit=1)
    question = MultipleChoice("1 + 1?", ("1", "333"), 0)
    prepared = replace(prepared, documents=[replace(prepared.documents[0], question=question)])
    [one] = asked = build_requests(prepared, TOKENIZER, None, 0)
    # Per character without the blank: -1.0 and -0.9; with it -0.5 and -0.67.
    answers = dict(zip(one.requests, (Score((-1.0,), False), Score((-2.7,), False)), strict=True))
    assert judge(prepared, asked, answers, None)[0].prediction == "1"


def test_texts_are_judged_by_exact_match(bench):
    prepared = bench.prepared("sums")
    asked = build_requests(prepared, TOKENIZER, None, 0)
    said = [" 3\n", " 4 or 5", " I think 6", " nothing"]
    answers = {one.requests[0]: Generated(text, 4, "stop") for one, text in zip(asked, said, strict=True)}
    samples = judge(prepared, asked, answers, None)
    assert [sample.prediction for sample in samples] == ["3", "4", "6", None]
    assert [sample.gold for sample in samples] == ["3", "4", "5", "6"]
    assert [sample.metrics["exact_match"] for sample in samples] == [1.0, 1.0, 0.0, 0.0]
    assert {sample.status for sample in samples} == {"scored"}


def test_several_samples_count_by_their_mean(bench):
    generation = GenerationSpec(temperature=1.0, samples=4)
    prepared = with_spec(bench.prepared("sums", limit=1), generation=generation)
    [one] = asked = build_requests(prepared, TOKENIZER, None, 0)
    said = ["4", "3", "3", "3"]
    answers = {request: Generated(text, 2, "eos") for request, text in zip(one.requests, said, strict=True)}
    [sample] = judge(prepared, asked, answers, None)
    assert sample.metrics == {"exact_match": 0.75}
    assert sample.prediction == "4"


def test_math_is_judged_in_its_own_processes(bench):
    prepared = with_spec(bench.prepared("sums"), scorer="math_verify")
    asked = build_requests(prepared, TOKENIZER, None, 0)
    said = [r"\boxed{3.0}", r"\boxed{3}", "so 5", ""]
    answers = {one.requests[0]: Generated(text, 4, "eos") for one, text in zip(asked, said, strict=True)}
    samples = judge(prepared, asked, answers, None)
    assert [sample.metrics["exact_match"] for sample in samples] == [1.0, 0.0, 1.0, 0.0]
    assert [sample.prediction is None for sample in samples] == [False, False, False, True]


def test_without_its_version_of_math_verify_a_text_has_no_verdict_but_the_command_that_installs_it(
    bench, monkeypatch, tmp_path
):
    monkeypatch.setenv("EVALSUITE_PACKAGES", str(tmp_path))
    prepared = with_spec(bench.prepared("sums", limit=1), scorer="math_verify", math_verify="0.9")
    [one] = asked = build_requests(prepared, TOKENIZER, None, 0)
    [sample] = judge(prepared, asked, {one.requests[0]: Generated(r"\boxed{3}", 4, "eos")}, None)
    assert (sample.status, sample.metrics) == ("failed", {})
    assert f"--target {tmp_path}/math-verify-0.9.0 math-verify==0.9.0" in sample.reason
    with pytest.raises(UserError, match=r"is judged by math-verify 0\.9\.0"):
        refuse_missing_graders([prepared.selected.spec])


@needs_side_package("math-verify", "0.9.0")
@pytest.mark.parametrize(("version", "correct"), [("0.7", 1.0), ("0.9", 0.0)])
def test_a_boxed_percentage_is_a_number_until_version_0_8(bench, version, correct):
    prepared = with_spec(bench.prepared("sums", limit=1), scorer="math_verify", math_verify=version)
    [one] = asked = build_requests(prepared, TOKENIZER, None, 0)
    said = {one.requests[0]: Generated(r"\boxed{300\%}", 4, "eos")}
    [sample], notes = judged(prepared, asked, said, None)
    assert sample.metrics["exact_match"] == correct
    assert notes == (() if version == "0.7" else ("Judged by math-verify 0.9.0.",))


def test_a_scorer_that_fails_leaves_its_document_without_a_verdict(bench, monkeypatch):
    from evalsuite.scoring import texts as module
    from evalsuite.scoring.workers import ScorerFailed

    def call_all(target, calls, **settings):
        assert target == "evalsuite.scoring.math:math_verdict"
        return [
            ScorerFailed("the scorer gave no verdict in 30 s")
            if text == "hang"
            else {"correct": True, "extracted": text}
            for _, text in calls
        ]

    monkeypatch.setattr(module, "call_all", call_all)
    prepared = with_spec(bench.prepared("sums"), scorer="math_verify")
    asked = build_requests(prepared, TOKENIZER, None, 0)
    said = ["3", "hang", "5", "6"]
    answers = {one.requests[0]: Generated(text, 4, "eos") for one, text in zip(asked, said, strict=True)}
    samples = judge(prepared, asked, answers, None)
    assert [sample.status for sample in samples] == ["scored", "failed", "scored", "scored"]
    assert samples[1].reason == "the scorer gave no verdict in 30 s"
    assert (samples[1].metrics, samples[1].prediction) == ({}, None)


def test_a_text_that_exceeds_the_scorers_limits_is_wrong_and_noted_on_any_machine(bench, monkeypatch):
    from evalsuite.scoring import texts as module

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    scorer = module._in_workers("strange_scorers:judge", lambda sample: sample.gold, limit=1.0)
    monkeypatch.setitem(module.TEXT_SCORERS, "math_verify", scorer)
    prepared = with_spec(bench.prepared("sums"), scorer="math_verify")
    asked = build_requests(prepared, TOKENIZER, None, 0)
    said = ["3", "spin", "raise", "die"]
    answers = {one.requests[0]: Generated(text, 4, "eos") for one, text in zip(asked, said, strict=True)}
    samples, notes = judged(prepared, asked, answers, None)
    assert [sample.metrics["exact_match"] for sample in samples] == [1.0, 0.0, 0.0, 0.0]
    assert notes == (
        "1 text counts as wrong: the scorer raised ZeroDivisionError: division by zero.",
        "1 text counts as wrong: the scorer used up 1 s of CPU time.",
        "1 text counts as wrong: the scorer's process died.",
    )


def test_a_scorer_that_fails_whatever_the_text_has_no_verdict(bench, monkeypatch):
    from evalsuite.scoring import texts as module

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    scorer = module._in_workers("strange_scorers:judge", lambda sample: "broken")
    monkeypatch.setitem(module.TEXT_SCORERS, "math_verify", scorer)
    prepared = with_spec(bench.prepared("sums", limit=1), scorer="math_verify")
    [one] = asked = build_requests(prepared, TOKENIZER, None, 0)
    [sample] = judge(prepared, asked, {one.requests[0]: Generated("5", 4, "eos")}, None)
    assert (sample.status, sample.metrics) == ("failed", {})
    assert sample.reason == "the scorer raised ValueError: no such answer"


def test_one_failed_answer_of_a_document_leaves_it_without_a_verdict(bench):
    prepared = bench.prepared("quiz")
    asked = build_requests(prepared, TOKENIZER, None, 0)
    answers = scores(asked, 0)
    answers[asked[1].requests[2]] = Failure("out of memory: no room")
    samples = judge(prepared, asked, answers, None)
    assert [sample.status for sample in samples] == ["scored", "failed", "scored", "scored"]
    assert samples[1].reason == "out of memory: no room"
    assert (samples[1].metrics, samples[1].prediction) == ({}, None)
    assert len(samples[1].responses) == 3


def test_an_answer_that_never_came_is_a_failure(bench):
    prepared = bench.prepared("quiz")
    asked = build_requests(prepared, TOKENIZER, None, 0)
    answers = scores(asked, 0)
    del answers[asked[3].requests[0]]
    sample = judge(prepared, asked, answers, None)[3]
    assert (sample.status, sample.reason) == ("failed", "no answer")


def test_a_document_beyond_the_window_says_by_how_much(bench):
    prepared = bench.prepared("sums")
    asked = build_requests(prepared, TOKENIZER, 10, 0)
    samples = judge(prepared, asked, {}, 10)
    assert {sample.status for sample in samples} == {"too_long"}
    size = len(prepared.prompts[0].contexts[0])
    assert samples[0].reason == f"{size} tokens; the context window has 10"


def test_a_document_that_cannot_be_asked_failed_with_its_problem(bench):
    prepared = with_spec(bench.prepared("quiz"), delimiter="")
    documents = list(prepared.documents)
    documents[2] = replace(documents[2], question=MultipleChoice("?", ("", "b"), 0))
    prepared = replace(prepared, documents=documents)
    asked = build_requests(prepared, TOKENIZER, None, 0)
    samples = judge(prepared, asked, scores(asked, 0), None)
    assert [sample.status for sample in samples] == ["scored", "scored", "failed", "scored"]
    assert samples[2].reason == asked[2].problem
    assert samples[2].metrics == {}


def test_samples_carry_the_sizes_of_their_requests(bench):
    prepared = bench.prepared("quiz", limit=1)
    asked = build_requests(prepared, TOKENIZER, None, 0)
    [sample] = judge(prepared, asked, scores(asked, 0), None)
    assert sample.context_tokens == (len("Q: 1 + 1?\nA:"),) * 3
    assert sample.continuation_tokens == (2, 8, 2)
