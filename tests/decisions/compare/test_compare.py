"""Comparisons of fabricated runs, where every figure is known."""

import math
import random

import pytest
from scipy.stats import binomtest

import evalsuite
from evalsuite.decisions.compare.document import Comparison
from evalsuite.errors import UserError
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import ModelRecord
from tests.fabricate import Made, fabricate, flipped, verdicts

BASE = verdicts(300, 200)


@pytest.fixture
def compared(tmp_path):
    def of(first, second, drift=False, **log):
        one = fabricate(tmp_path / "one", first)
        other = fabricate(tmp_path / "other", second, **log)
        return evalsuite.compare(one, other, allow_protocol_drift=drift).pairs[0]

    return of


def texts(pair, kind):
    return [difference.text for difference in pair.differences if difference.kind == kind]


def test_verdicts_are_compared_by_flips(compared):
    found = compared({"quiz": BASE}, {"quiz": flipped(BASE, lost=40, gained=15)}).task("quiz").metrics["acc"]
    assert (found.baseline, found.candidate, found.n) == (0.6, pytest.approx(0.55), 500)
    assert found.delta == pytest.approx(-0.05)
    assert (found.lost, found.gained, found.discordance) == (40, 15, pytest.approx(0.11))
    assert (found.test, found.interval) == ("mcnemar", "tango")
    assert found.p == pytest.approx(binomtest(15, 55).pvalue)
    assert found.low < -0.05 < found.high < 0
    assert found.verdict == "worse"
    assert [(flip.doc, flip.baseline) for flip in found.flips[:40]] == [(n, 1.0) for n in range(40)]
    assert all(flip.candidate == 1.0 for flip in found.flips[40:])


def test_the_detectable_difference_stands_beside_the_delta(compared):
    found = compared({"quiz": BASE}, {"quiz": flipped(BASE, lost=25, gained=25)}).task("quiz").metrics["acc"]
    assert found.verdict == "unclear"
    assert found.mde == pytest.approx((1.96 + 0.84) * math.sqrt(0.1 / 500), rel=0.02)


def test_p_is_adjusted_over_the_headline_metrics(compared):
    tasks = {"a": flipped(BASE, 30, 8), "b": flipped(BASE, 24, 9), "c": flipped(BASE, 10, 9)}
    pair = compared(dict.fromkeys(tasks, BASE), tasks)
    p = {task.name: task.metrics["acc"].p for task in pair.tasks}
    adjusted = {task.name: task.metrics["acc"].p_holm for task in pair.tasks}
    assert adjusted["a"] == pytest.approx(3 * p["a"])
    assert adjusted["b"] == pytest.approx(2 * p["b"])
    assert adjusted["c"] == pytest.approx(p["c"])


def test_a_run_against_itself_shows_nothing(compared):
    pair = compared({"quiz": BASE}, {"quiz": BASE})
    found = pair.task("quiz").metrics["acc"]
    assert (found.delta, found.p, found.lost, found.gained, found.flips) == (0, 1, 0, 0, ())
    assert found.low < 0 < found.high
    assert pair.differences == ()


def test_shares_are_compared_by_bootstrap_and_sign_flips(compared):
    draw = random.Random(0)
    first = [draw.randint(0, 4) / 4 for _ in range(300)]
    second = [min(1.0, value + 0.25 * (draw.random() < 0.3)) for value in first]
    found = compared({"sums": first}, {"sums": second}).task("sums").metrics["acc"]
    assert (found.test, found.interval) == ("sign_flip", "bootstrap")
    assert 0 < found.low < found.delta < found.high
    assert found.p < 0.001
    assert found.verdict == "better"


def test_a_metric_that_counts_loss_is_worse_when_it_grows(compared):
    draw = random.Random(0)
    first = [draw.uniform(0.8, 1.2) for _ in range(200)]
    second = [value + draw.uniform(0, 0.1) for value in first]
    made = {"gold": Made(first, metric="bits_per_byte")}, {"gold": Made(second, metric="bits_per_byte")}
    found = compared(*made).task("gold").metrics["bits_per_byte"]
    assert found.lower_is_better
    assert (found.verdict, found.lost, found.gained) == ("worse", 200, 0)


def test_clusters_widen_the_interval(compared):
    second = flipped(BASE, lost=60, gained=20)
    passages = [str(n // 20) for n in range(500)]
    plain = compared({"quiz": BASE}, {"quiz": second}).task("quiz").metrics["acc"]
    pair = compared({"quiz": Made(BASE, clusters=passages)}, {"quiz": Made(second, clusters=passages)})
    task = pair.task("quiz")
    found = task.metrics["acc"]
    assert task.clusters == 25
    assert found.effective_n < plain.effective_n == 500
    assert found.high - found.low > plain.high - plain.low
    assert found.test == "sign_flip"


def test_macro_tasks_are_compared_by_their_members(compared):
    members = ["small"] * 100 + ["large"] * 400
    macro = {"aggregation": "macro"}
    second = flipped(BASE, lost=50)  # all of them in the first hundred
    pair = compared(
        {"quiz": Made(BASE, subtasks=members, record=macro)},
        {"quiz": Made(second, subtasks=members, record=macro)},
    )
    assert pair.task("quiz").metrics["acc"].delta == pytest.approx(-0.25)


def test_another_prompt_is_refused_unless_it_is_accepted(compared):
    runs = {"quiz": BASE}, {"quiz": Made(BASE, record={"prompt_sha256": "b" * 64})}
    with pytest.raises(UserError, match="prompt specs of quiz differ"):
        compared(*runs)
    assert texts(compared(*runs, drift=True), "prompt") == [
        "quiz: the prompt spec differs: baseline has aaaaaaaaaaaa; candidate has bbbbbbbbbbbb."
    ]


@pytest.mark.parametrize(
    ("record", "kind", "said"),
    [
        (
            {"comparability": 2},
            "comparability",
            "comparability number differs: baseline has 1; candidate has 2",
        ),
        (
            {"split": "validation"},
            "split",
            "evaluated split differs: baseline has test; candidate has validation",
        ),
        (
            {"data": {"test": {"rows": 500, "fingerprint": "e" * 64, "source": ""}}},
            "data",
            "data of split 'test' differs: baseline has ffffffffffff; candidate has eeeeeeeeeeee",
        ),
    ],
)
def test_every_difference_of_a_task_is_told(compared, record, kind, said):
    [text] = texts(compared({"quiz": BASE}, {"quiz": Made(BASE, record=record)}), kind)
    assert said in text


def test_every_difference_of_a_run_is_told(compared):
    pair = compared(
        {"quiz": BASE},
        {"quiz": BASE},
        evalsuite_version="0.2.0",
        environment={"math-verify": "0.8.0"},
        spec=RunSpec(tasks=("test/quiz:cloze@0",), model="other", limit=500, seed=1, engine="vllm"),
        model=ModelRecord(
            id="one", revision=None, weights_sha256="one", tokenizer_sha256="1", numerics="bf16"
        ),
    )
    kinds = {difference.kind for difference in pair.differences}
    assert kinds == {"evalsuite", "package", "limit", "seed", "engine", "numerics", "model"}


@pytest.mark.parametrize(
    ("numerics", "said"),
    [
        ("test", {"engine": "the numerics class is the same, so that the same weights would give the same"}),
        ("other", {"numerics": "differ by rounding (near ties can turn)", "engine": "has live."}),
    ],
)
def test_what_another_engine_means_depends_on_the_numerics(compared, numerics, said):
    """As a run of a live model in a training and one of its checkpoint."""
    pair = compared(
        {"quiz": BASE},
        {"quiz": BASE},
        spec=RunSpec(tasks=("test/quiz:cloze@0",), model="other", engine="live"),
        model=ModelRecord(
            id="one", revision=None, weights_sha256="one", tokenizer_sha256="1", numerics=numerics
        ),
    )
    assert {kind for kind in ("numerics", "engine") if texts(pair, kind)} == set(said)
    for kind, words in said.items():
        assert words in texts(pair, kind)[0]


def test_other_shots_show_in_the_prompts_text(compared):
    [text] = texts(compared({"quiz": BASE}, {"quiz": Made(BASE, shots_text="Q. A. ")}), "contexts")
    assert "differs in 500 of 500 common documents" in text


def test_documents_without_a_verdict_are_left_out_and_told(compared):
    pair = compared({"quiz": BASE}, {"quiz": Made(BASE, failed=[3, 4])})
    task = pair.task("quiz")
    assert (task.common, task.unscored, task.metrics["acc"].n) == (500, 2, 498)
    assert "2 common documents have no verdict" in texts(pair, "failures")[0]
    assert "document 3: the engine died" in texts(pair, "failures")[0]


def test_a_subset_is_compared_on_what_is_common(compared):
    pair = compared({"quiz": BASE, "only": [1, 0]}, {"quiz": BASE[:100], "new": [1, 0]})
    task = pair.task("quiz")
    assert (task.common, task.only_in_baseline, task.only_in_candidate) == (100, 400, 0)
    assert task.metrics["acc"].baseline == 1.0
    assert (pair.only_in_baseline, pair.only_in_candidate) == (("only",), ("new",))
    assert len(texts(pair, "missing")) == 1


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (
            {"quiz": BASE},
            {"sums": BASE},
            "have no task in common: the baseline has quiz; the candidate has sums",
        ),
        (
            {"quiz": [1, 0]},
            {"quiz": Made([1, 0], rows=[8, 9])},
            "no common documents. quiz: baseline .2 documents. and candidate .2. have no common document",
        ),
        (
            {"quiz": Made([1, 0], failed=[0])},
            {"quiz": Made([1, 0], failed=[1])},
            "has a verdict in both runs",
        ),
    ],
)
def test_runs_with_nothing_in_common_are_refused(compared, first, second, said):
    with pytest.raises(UserError, match=said):
        compared(first, second)


def test_several_runs_are_each_compared_with_the_first(tmp_path):
    runs = [
        fabricate(tmp_path / name, {"quiz": flipped(BASE, lost=lost)})
        for name, lost in (("a", 0), ("b", 5), ("c", 50))
    ]
    found = evalsuite.compare(*runs)
    assert found.baseline.label == "a"
    assert [(pair.candidate.label, pair.task("quiz").metrics["acc"].lost) for pair in found.pairs] == [
        ("b", 5),
        ("c", 50),
    ]
    assert list(found.to_pandas()["lost"]) == [5, 50]
    assert Comparison.model_validate_json(found.model_dump_json()) == found


def test_one_run_is_not_enough(tmp_path):
    with pytest.raises(UserError, match="two or more runs"):
        evalsuite.compare(fabricate(tmp_path / "a", {"quiz": BASE}))
