"""Writes a gate's verdict as JUnit XML for the test reports of GitHub and GitLab.

Public names: `check_junit`, `junit_xml`, `write_junit`. The package junitparser is an extra (`junit`).

Each task is a test case: PASS is a passed test, FAIL a failure, and INCONCLUSIVE an error. A task whose
outcome does not decide (advisory, or supporting and inconclusive) is skipped, with its reason.
"""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from evalsuite.decisions.gate.document import GateReport, Outcome
from evalsuite.decisions.gate.reasons import points
from evalsuite.errors import UserError
from evalsuite.results.folder import disk_errors

if TYPE_CHECKING:
    from junitparser import TestCase

_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML does not allow, such as terminal escapes."""


def check_junit() -> None:
    """Raises UserError where the package that makes the document is not installed."""
    if find_spec("junitparser") is None:
        raise UserError("--junit needs the package junitparser: pip install 'evalsuite[junit]'.")


def junit_xml(report: GateReport) -> bytes:
    """The JUnit document in UTF-8."""
    from junitparser import JUnitXml, TestSuite

    suite = TestSuite("evalsuite gate")
    for name, value in (
        ("outcome", report.outcome),
        ("baseline", report.baseline.label),
        ("candidate", report.candidate.label),
        ("evalsuite", report.evalsuite_version),
    ):
        suite.add_property(name, _xml(value))
    for task in report.tasks:
        lines = [
            task.reason,
            f"baseline {points(task.baseline, task.metric)}, "
            f"candidate {points(task.candidate, task.metric)}, "
            f"damage {points(task.damage, task.metric, signed=True)}, "
            f"margin {points(task.margin, task.metric)}, {task.documents} documents",
        ]
        suite.add_testcase(_case(task.tier, f"{task.name} {task.metric}", task.outcome, task.decides, lines))
    for one in report.suites:
        lines = [one.reason, f"over {', '.join(one.tasks)}"]
        suite.add_testcase(_case(f"suite {one.tier}", one.name, one.outcome, one.decides, lines))
    if report.pooled is not None:
        lines = [report.pooled.reason, f"over {', '.join(report.pooled.tasks)}"]
        suite.add_testcase(_case("pooled", "mean over tasks", report.pooled.outcome, True, lines))
    if report.smoke:
        suite.add_testcase(_case("export", "smoke test", "FAIL", True, [report.smoke]))
    xml = JUnitXml("evalsuite gate")
    xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call]  # junitparser declares no types here
    body: bytes = xml.tostring()  # type: ignore[no-untyped-call]  # nor here
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + body


def write_junit(report: GateReport, path: Path) -> None:
    """Write the document as a whole; raises StorageError if it cannot be written."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".unfinished")
        unfinished.write_bytes(junit_xml(report))
        os.replace(unfinished, path)


def _xml(text: str) -> str:
    return _NO_XML.sub("?", text)


def _case(group: str, name: str, outcome: Outcome, decides: bool, lines: list[str]) -> "TestCase":
    from junitparser import Error, Failure, Skipped, TestCase

    lines = [_xml(line) for line in lines]
    case = TestCase(_xml(name), classname=f"evalsuite.gate.{_xml(group)}", time=0)
    if outcome != "PASS":
        kind = Skipped if not decides else Failure if outcome == "FAIL" else Error
        result = kind(f"{outcome}: {lines[0]}", outcome)
        result.text = "\n".join(lines)
        case.result = [result]
    case.system_out = "\n".join(lines)
    return case
