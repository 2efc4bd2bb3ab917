"""Suites in run logs, tables and trackers."""

import csv
import io

import pytest

from evalsuite.prompting.suites import MeanSpec, Suite, SuiteMean, SuiteSpec, Term
from evalsuite.report import report
from evalsuite.report.export import csv_text, latex_text
from evalsuite.report.trackers import scores
from evalsuite.results.read import open_run
from evalsuite.results.suites import suite_records
from evalsuite.results.tables import remarks, table_rows
from tests.fabricate import Made, fabricate, verdicts

BASELINES = {"quiz": 0.25, "pairs": 0.5}

MEMBERS = {name: {"scored": n, "metrics": {"acc": 0.5}} for name, n in (("law", 1), ("art", 2))}
WITHOUT = {"acc": {"value": 0.75, "stderr": None, "low": None, "high": None, "n": 3}}


def suite(names=("quiz", "pairs"), **mean):
    fields = MeanSpec(**mean)
    spec = SuiteSpec(
        recipe="ours",
        name="ours",
        version=3,
        title="two",
        source={"status": "ours"},
        members=names,
        means={"v1": fields},
    )
    terms = tuple(
        Term(name, f"address of {name}", 1 / len(names), fields.baselines.get(name, 0.0), "")
        for name in names
    )
    tasks = {name: f"address of {name}" for name in names}
    return Suite(spec, tasks, (SuiteMean("v1", fields, terms),))


def log(folder, **made):
    tasks = {
        "quiz": Made(verdicts(70, 30), record={"address": "address of quiz"}),
        "pairs": Made(verdicts(60, 40), record={"address": "address of pairs"}),
        "text": Made([1.0, 2.0] * 9, metric="bits_per_byte", record={"address": "address of text"}),
    }
    return open_run(fabricate(folder, tasks | made)).log


def record(run, *suites):
    return run.model_copy(update={"suites": suite_records(suites, run.tasks)})


def test_a_centred_mean(tmp_path):
    run = record(log(tmp_path / "run"), suite(baselines=BASELINES))
    [found] = run.suites
    mean = found.means["v1"]
    assert (found.name, found.version, found.tasks) == ("ours", 3, ("quiz", "pairs"))
    assert mean.metric == "centred"
    assert mean.score.value == pytest.approx(((0.7 - 0.25) / 0.75 + (0.6 - 0.5) / 0.5) / 2)
    assert mean.score.low < mean.score.value < mean.score.high
    row = table_rows(run)[-1]
    assert row[:4] == ("ours", "", "centred, mean of 2 tasks", "40.00")
    assert scores(run)["suites/ours/v1"] == pytest.approx(0.4)
    assert run.to_pandas().iloc[-1]["metric"] == "v1"
    assert type(run).model_validate_json(run.model_dump_json()) == run


def test_a_plain_mean_keeps_the_metric(tmp_path):
    run = log(tmp_path / "run")
    assert record(run, suite()).suites[0].means["v1"].metric == "acc"
    loss = record(run, suite(("text",))).suites[0].means["v1"]
    assert (loss.metric, loss.score.value) == ("bits_per_byte", 1.5)


@pytest.mark.parametrize(
    ("names", "mean", "message"),
    [
        (("quiz", "lost"), {}, "lost is not in this run"),
        (("quiz", "failing"), {}, "failing has no score"),
        (("quiz", "text"), {}, "it mixes scores and losses"),
        (("quiz", "pairs"), {"metric": "f1"}, "quiz has no metric 'f1', and 1 more"),
    ],
)
def test_a_suite_without_a_member_has_a_reason_and_no_value(tmp_path, names, mean, message):
    failing = Made(verdicts(5, 5), failed=(1,), record={"address": "address of failing", "metrics": {}})
    run = record(log(tmp_path / "run", failing=failing), suite(names, **mean))
    found = run.suites[0].means["v1"]
    assert (found.score, found.problem) == (None, message)
    assert table_rows(run)[-1][3:6] == ("—", "—", "—")
    assert f"ours: no value, since {message}." in remarks(run)


def test_a_value_without_some_documents_says_so(tmp_path):
    partial = Made(verdicts(5, 5), record={"address": "address of pairs", "problem": "1 of 10 have none"})
    run = record(log(tmp_path / "run", pairs=partial), suite())
    assert "ours: it excludes documents of pairs." in remarks(run)


def test_a_mean_without_an_interval_names_the_task_that_has_none(tmp_path):
    few = Made(
        verdicts(2, 1),
        subtasks=("law", "art", "art"),
        record={
            "address": "address of pairs",
            "aggregation": "macro",
            "metrics": WITHOUT,
            "subtasks": MEMBERS,
        },
    )
    run = record(log(tmp_path / "run", pairs=few), suite())
    assert run.suites[0].means["v1"].score.low is None
    assert "ours: no interval, since pairs has none." in remarks(run)
    assert (
        "pairs: no interval: 1 of 2 member tasks have a single document, which tells nothing of their spread."
        in remarks(run)
    )
    both = record(
        log(tmp_path / "both", pairs=few, quiz=Made([1.0], record={"address": "address of quiz"})), suite()
    )
    assert "ours: no interval, since quiz has none, and nor have 1 more." in remarks(both)
    assert "quiz: no interval: a single document tells nothing of the spread." in remarks(both)


def test_a_suite_of_a_subset_says_so(tmp_path):
    run = record(log(tmp_path / "run"), suite())
    limited = run.model_copy(update={"spec": run.spec.model_copy(update={"limit": 50})})
    assert any(line.startswith("ours: over the first 50 documents") for line in remarks(limited))


def test_suites_are_in_the_exports_and_in_the_report(tmp_path):
    run = record(log(tmp_path / "run"), suite(baselines=BASELINES), suite(("quiz", "lost")))
    rows = list(csv.DictReader(io.StringIO(csv_text([("model", run)]))))
    assert [(row["task"], row["metric"], row["value"][:6]) for row in rows[-2:]] == [
        ("ours", "centred", "0.4"),
        ("ours", "acc", ""),
    ]
    assert rows[-1]["problem"] == "lost is not in this run"
    assert any(line.startswith("ours & ") for line in latex_text([("model", run)]).splitlines())
    (tmp_path / "run" / "run.json").write_text(run.model_dump_json(), "utf-8")
    report(tmp_path / "run", html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "Suites of" in page
    assert "lost is not in this run" in page


def test_logs_without_suites_are_as_before(tmp_path):
    run = log(tmp_path / "run")
    assert run.suites == ()
    assert "suites" not in run.spec.content
