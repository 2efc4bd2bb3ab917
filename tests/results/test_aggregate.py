"""From samples to the record of a task."""

import math
from dataclasses import replace

import pytest

from evalsuite.requests.build import build_requests
from evalsuite.results.aggregate import task_record
from evalsuite.results.runlog import TaskRecord
from evalsuite.scoring.judge import judge
from evalsuite.types import Failure, Generated, Score
from tests.runs.bench import Bench, ByteTokenizer

TOKENIZER = ByteTokenizer()


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench.make(tmp_path_factory.mktemp("bench"))


def record(prepared, *, right, window=None, failed=(), allow_failures=False, asked=None):
    """The record when the documents `right` are answered rightly and `failed` are not answered."""
    asked = asked or build_requests(prepared, TOKENIZER, window, 0)
    answers = {}
    for document, one in zip(prepared.documents, asked, strict=True):
        best = (document.question.answer + (document.index not in right)) % 3
        for place, request in enumerate(one.requests):
            answers[request] = Score((-0.1 if place == best else -2.0,) * len(request.continuation), False)
            if document.index in failed:
                answers[request] = Failure(f"no room for {document.index}")
    samples = judge(prepared, asked, answers, window).samples
    return task_record(prepared, asked, samples, tokens=123, seconds=4.5678, allow_failures=allow_failures)


def test_metrics_are_the_means_over_documents(bench):
    found = record(bench.prepared("quiz"), right=range(12))
    assert found.metrics["acc"].value == found.metrics["acc_norm"].value == 0.75
    assert found.metrics["acc"].n == 16
    assert found.metrics["acc"].stderr == pytest.approx(0.1118034)
    assert list(found.metrics) == ["acc_norm", "acc"]
    assert (found.problem, found.tokens, found.seconds, found.requests) == ("", 123, 4.568, 48)


@pytest.mark.parametrize("allow_failures", [False, True])
def test_a_failure_takes_the_score_away_unless_it_is_allowed(bench, allow_failures):
    found = record(bench.prepared("quiz"), right=range(8), failed=[3, 12], allow_failures=allow_failures)
    assert (found.counts.documents, found.counts.scored, found.counts.failed) == (16, 14, 2)
    assert found.problem == "2 of 16 documents have no verdict (document 3: no room for 3)"
    if allow_failures:
        assert (found.metrics["acc"].value, found.metrics["acc"].n) == (7 / 14, 14)
    else:
        assert found.metrics == {}


def test_documents_beyond_the_window_take_the_score_away_too(bench):
    prepared = bench.prepared("quiz")
    window = len("Q: 9 + 9?\nA: 19 or so") - 1  # two-digit questions are too long
    found = record(prepared, right=range(16), window=window, failed=[1])
    assert found.metrics == {}
    assert (found.counts.too_long, found.counts.failed, found.counts.scored) == (7, 1, 8)
    assert "7 of 16 documents do not fit the context window (document 9: 22 tokens" in found.problem
    assert "; 1 of 16 documents have no verdict" in found.problem


def test_all_documents_failed_is_no_score_even_where_failures_are_allowed(bench):
    found = record(bench.prepared("quiz"), right=[], failed=range(16), allow_failures=True)
    assert found.metrics == {}
    assert found.counts.scored == 0


def with_members(prepared, sizes):
    names = [name for name, size in sizes.items() for _ in range(size)]
    documents = [
        replace(one, subtask=name) for one, name in zip(prepared.documents[: len(names)], names, strict=True)
    ]
    return replace(prepared, documents=documents, shots=prepared.shots[: len(names)])


@pytest.mark.parametrize(("aggregation", "value"), [("micro", 5 / 8), ("macro", (0.5 + 4 / 6) / 2)])
def test_member_tasks_count_by_document_or_alike(bench, aggregation, value):
    prepared = with_members(bench.prepared("quiz"), {"small": 2, "large": 6})
    spec = prepared.selected.spec.model_copy(update={"aggregation": aggregation})
    prepared = replace(prepared, selected=replace(prepared.selected, spec=spec))
    found = record(prepared, right={0, 2, 3, 4, 5})
    assert found.metrics["acc"].value == pytest.approx(value)
    assert {name: (one.scored, one.metrics["acc"]) for name, one in found.subtasks.items()} == {
        "small": (2, 0.5),
        "large": (6, 4 / 6),
    }


def test_a_task_without_members_has_no_subtasks(bench):
    assert record(bench.prepared("quiz"), right=[]).subtasks == {}


def test_what_was_unusual_is_counted(bench):
    prepared = bench.prepared("sums", limit=4)
    asked = build_requests(prepared, TOKENIZER, None, 0)
    asked[0] = replace(asked[0], shots=1)
    asked[1] = replace(asked[1], joined=True)
    asked[2] = replace(asked[2], shortened=True)
    finishes = ["length", "window", "stop", "eos"]
    answers = {
        one.requests[0]: Generated("3", 2, finish) for one, finish in zip(asked, finishes, strict=True)
    }
    samples = judge(prepared, asked, answers, None).samples
    found = task_record(prepared, asked, samples, tokens=0, seconds=0, allow_failures=False)
    assert (found.counts.shots_dropped, found.counts.joined) == (1, 1)
    assert (found.counts.cut, found.counts.at_window, found.counts.shortened) == (2, 1, 1)


def repeated(prepared, verdicts):
    """The record of documents with several answers each, by their verdicts."""
    asked = build_requests(prepared, TOKENIZER, None, 0)
    answers = {one.requests[0]: Generated("3", 2, "stop") for one in asked}
    samples = [
        replace(sample, correct=tuple(given), metrics={"exact_match": sum(given) / len(given)})
        for sample, given in zip(judge(prepared, asked, answers, None).samples, verdicts, strict=True)
    ]
    return task_record(prepared, asked, samples, tokens=0, seconds=0, allow_failures=False)


def with_losses(prepared, nats):
    """The record of documents with these negative log-likelihoods."""
    spec = prepared.selected.spec.model_copy(update={"metrics": ("perplexity", "bits_per_byte")})
    prepared = replace(prepared, selected=replace(prepared.selected, spec=spec))
    asked = build_requests(prepared, TOKENIZER, None, 0)
    answers = {one: Score((-1.0,) * len(one.continuation), False) for each in asked for one in each.requests}
    samples = [
        replace(sample, metrics={"perplexity": loss, "bits_per_byte": loss / 8})
        for sample, loss in zip(judge(bench_spec(prepared), asked, answers, None).samples, nats, strict=True)
    ]
    return task_record(prepared, asked, samples, tokens=0, seconds=0, allow_failures=False)


def bench_spec(prepared):
    """With metrics that the scorer of choices has."""
    spec = prepared.selected.spec.model_copy(update={"metrics": ("acc",)})
    return replace(prepared, selected=replace(prepared.selected, spec=spec))


@pytest.mark.parametrize("nats", [720.0, 1e200, 1e308])
def test_a_metric_that_no_float_holds_is_left_out_and_said(bench, nats):
    found = with_losses(bench.prepared("quiz"), [nats + place for place in range(16)])
    assert "perplexity" not in found.metrics
    assert "perplexity is not finite over these documents" in found.problem
    TaskRecord.model_validate_json(found.model_dump_json())


def test_the_end_of_an_interval_that_no_float_holds_is_left_out_of_a_score_that_one_does(bench):
    found = with_losses(bench.prepared("quiz"), [600.0 + 13 * place for place in range(16)])
    metric = found.metrics["perplexity"]
    assert metric.value == pytest.approx(math.exp(600 + 13 * 7.5))
    assert (metric.low < metric.value, metric.high) == (True, None)
    assert found.problem == ""


def test_several_answers_split_the_error_into_problems_and_sampling(bench):
    prepared = bench.prepared("sums", limit=4)
    same = repeated(prepared, [[True] * 4, [True] * 4, [False] * 4, [False] * 4]).metrics["exact_match"]
    assert (same.sampling_stderr, same.problem_stderr) == (0, pytest.approx(same.stderr))
    mixed = repeated(prepared, [[True, False]] * 4).metrics["exact_match"]
    assert mixed.stderr == 0
    assert mixed.problem_stderr == 0
    assert mixed.sampling_stderr == pytest.approx((0.25 / 4) ** 0.5)


def test_one_answer_each_tells_no_split(bench):
    metric = repeated(bench.prepared("sums", limit=4), [[True], [False]] * 2).metrics["exact_match"]
    assert (metric.problem_stderr, metric.sampling_stderr) == (None, None)


def test_the_record_names_protocol_and_data(bench):
    prepared = bench.prepared("quiz:letters")
    found = record(prepared, right=[])
    spec = prepared.selected.spec
    assert (found.recipe, found.task, found.format, found.shots) == ("tiny", "quiz", "letters", 1)
    assert (found.prompt_sha256, found.comparability) == (spec.sha256, 1)
    assert {split: one.rows for split, one in found.data.items()} == {"test": 16, "train": 6}
    assert found.data["test"].fingerprint == prepared.data["test"].fingerprint


@pytest.mark.parametrize(
    ("numerics", "lead", "near"),
    [
        ("transformers float32 cpu packed", 1e-4, 16),
        ("transformers float32 cpu packed", 1e-2, 0),
        ("transformers bfloat16 cuda", 0.2, 16),
        ("transformers bfloat16 cuda", 0.255, 0),
        ("transformers bfloat16 cuda rounded-scores", 0.255, 16),
        ("transformers bfloat16 cuda rounded-scores", 0.26, 0),
        ("transformers float16 cuda", 1e-2, 16),
        ("scripted", 0.0, 0),
    ],
)
def test_documents_whose_best_choices_are_within_rounding_are_counted(bench, numerics, lead, near):
    prepared = bench.prepared("quiz:letters")
    asked = build_requests(prepared, TOKENIZER, None, 0)
    answers = {
        request: Score((-1.0 - (lead if place else 0.0),), False)
        for one in asked
        for place, request in enumerate(one.requests)
    }
    samples = judge(prepared, asked, answers, None).samples
    found = task_record(
        prepared, asked, samples, tokens=0, seconds=0.0, allow_failures=False, numerics=numerics
    )
    assert found.counts.near_ties == near
    assert found.metrics["acc"].n == 16
