"""A candidate that failed its smoke test fails the gate, whatever its scores are."""

import yaml
from junitparser import Failure, JUnitXml

import evalsuite
from evalsuite.decisions.gate.junit import write_junit
from evalsuite.decisions.gate.policy import Policy
from evalsuite.results.smoke import SmokeRecord
from tests.cli.conftest import cli
from tests.fabricate import fabricate, verdicts

__all__ = ["cli"]
POLICY_FILE = "tasks: {mmlu: {tier: critical, margin: 0.03}}\npooled: null\n"
POLICY = Policy.model_validate(yaml.safe_load(POLICY_FILE))
GOOD, BAD = SmokeRecord.of(1.0, 0.5), SmokeRecord.of(3.6, 4.7)
UNKNOWN = SmokeRecord(passed=None, problem="out of memory")


def run(folder, smoke):
    return fabricate(folder, {"mmlu": verdicts(900, 600)}, smoke=smoke)


def test_equal_scores_of_a_wrong_export_fail(tmp_path):
    base, bad = run(tmp_path / "base", GOOD), run(tmp_path / "bad", BAD)
    report = evalsuite.gate(base, bad, POLICY)
    assert (report.outcome, report.exit_code) == ("FAIL", 1)
    assert "3.60 bits per byte" in report.reason
    assert evalsuite.gate(base, bad, POLICY, smoke=False).outcome == "PASS"
    write_junit(report, tmp_path / "gate.xml")
    [suite] = JUnitXml.fromfile(str(tmp_path / "gate.xml"))
    [case] = [case for case in suite if case.name == "smoke test"]
    assert isinstance(case.result[0], Failure)


def test_a_test_that_passed_gave_no_number_or_is_not_there_decides_nothing(tmp_path):
    base = run(tmp_path / "base", BAD)
    for name, smoke in {"good": GOOD, "unknown": UNKNOWN, "none": None}.items():
        report = evalsuite.gate(base, run(tmp_path / name, smoke), POLICY)
        assert (report.outcome, report.smoke) == ("PASS", "")


def test_the_command_line_takes_no_smoke(tmp_path, cli):
    base, bad = run(tmp_path / "base", GOOD), run(tmp_path / "bad", BAD)
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY_FILE)
    given = ("gate", "--baseline", base, "--candidate", bad, "--policy", policy)
    done = cli(*given)
    assert done.code == 1
    assert "The smoke test failed" in done.out
    assert cli(*given, "--no-smoke").code == 0
