"""Suites in comparisons: paired deltas, verdicts, problems."""

import io

import pytest
from rich.console import Console

import evalsuite
from evalsuite.decisions.compare.table import comparison_table, remark_lines
from evalsuite.report.against import pair_views
from evalsuite.report.source import open_source
from evalsuite.results.read import open_run
from tests.decisions.trend.test_suites import N, run, suite
from tests.fabricate import fabricate, verdicts


def shown(comparison):
    output = Console(file=io.StringIO(), width=250)
    output.print(comparison_table(comparison, comparison.pairs[0]))
    return output.file.getvalue()


def test_the_delta_is_the_weighted_sum_of_the_tasks_deltas(tmp_path):
    found = evalsuite.compare(run(tmp_path / "a", 400, 600), run(tmp_path / "b", 480, 590))
    main, quiz = found.pairs[0].suites
    assert main.name == "ours main"
    assert main.baseline == pytest.approx(open_run(tmp_path / "a").log.suites[0].means["main"].score.value)
    assert main.candidate == pytest.approx(open_run(tmp_path / "b").log.suites[0].means["main"].score.value)
    assert main.delta == pytest.approx((0.08 / 0.75 - 0.01 / 0.5) / 2)
    tasks = found.pairs[0]
    one = tasks.task("quiz").metrics["acc"]
    assert (quiz.delta, quiz.low, quiz.high) == pytest.approx((one.delta, one.low, one.high))
    assert main.verdict == quiz.verdict == "better"
    assert main.high - main.low < 2 * (one.high - one.low) / 0.75
    assert "centred, mean of 2 tasks" in shown(found)
    [view] = pair_views(open_source([tmp_path / "a", tmp_path / "b"]), False)
    assert view.remarks[0].startswith("Suite ours main: ")
    assert view.remarks[0].endswith(": better.")


def test_an_interval_with_0_is_unclear_and_a_loss_is_worse(tmp_path):
    first = run(tmp_path / "a", 400, 600)
    assert evalsuite.compare(first, run(tmp_path / "b", 401, 600)).pairs[0].suites[0].verdict == "unclear"
    assert evalsuite.compare(first, run(tmp_path / "c", 300, 600)).pairs[0].suites[0].verdict == "worse"


def test_other_versions_are_not_compared(tmp_path):
    other = run(tmp_path / "b", 400, 600, suite({"quiz": 0.25, "pairs": 0.5}, version=2))
    found = evalsuite.compare(run(tmp_path / "a", 400, 600), other)
    assert found.pairs[0].suites[0].delta is None
    assert "ours main: the runs have different versions of the suite." in remark_lines(found.pairs[0])
    assert "—" in shown(found)


def test_a_missing_task_leaves_no_delta(tmp_path):
    first, second = run(tmp_path / "a", 400, 600), run(tmp_path / "b", 400, 600)
    suites = open_run(second).log.suites
    fabricate(tmp_path / "b", {"quiz": verdicts(400, N - 400)}, suites=suites)
    main = evalsuite.compare(first, second).pairs[0].suites[0]
    assert (main.delta, main.problem) == (None, "no common documents of pairs")
