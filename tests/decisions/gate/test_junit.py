"""The JUnit file says to a CI what the gate says."""

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

import evalsuite
from evalsuite.decisions.gate.junit import check_junit, junit_xml, write_junit
from evalsuite.decisions.gate.policy import Policy
from evalsuite.errors import StorageError, UserError
from tests.fabricate import Made, fabricate, flipped, verdicts

BASE = verdicts(900, 600)
POLICY = Policy.model_validate(
    {
        "default": {"margin": 0.03},
        "tasks": {"a": {"tier": "critical"}, "b": {"tier": "critical"}, "e": {"tier": "advisory"}},
        "pooled": {"margin": 0.03},
    }
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    tasks = dict.fromkeys("abcde", BASE)
    second = {
        "a": BASE,
        "b": Made(BASE, failed=[7]),
        "c": flipped(BASE, lost=110),
        "d": flipped(BASE, 80, 50),
        "e": flipped(BASE, lost=300),
    }
    first = fabricate(folder / "one", tasks)
    return evalsuite.gate(first, fabricate(folder / "other", second), POLICY)


def test_every_outcome_has_its_place(report, tmp_path):
    write_junit(report, tmp_path / "reports" / "gate.xml")
    [suite] = JUnitXml.fromfile(str(tmp_path / "reports" / "gate.xml"))
    found = {case.name: case.result[0] if case.result else None for case in suite}
    assert found["a acc"] is None
    assert isinstance(found["b acc"], Error)
    assert isinstance(found["c acc"], Failure)
    assert isinstance(found["e acc"], Skipped)
    assert "have no verdict" in found["b acc"].message
    assert (suite.tests, suite.failures, suite.errors) == (6, 1, 2)  # the mean lacks documents of b
    assert {prop.name: prop.value for prop in suite.properties()}["outcome"] == "FAIL"
    assert not list((tmp_path / "reports").glob("*.unfinished"))


def test_the_file_is_xml_whatever_the_reasons_hold(report):
    strange = report.tasks[1].model_copy(update={"reason": "\x1b[31mred\x00 < & é"})
    xml = junit_xml(report.model_copy(update={"tasks": (strange,)}))
    [suite] = JUnitXml.fromstring(xml)
    assert "?[31mred? < & é" in next(iter(suite)).system_out


def test_a_place_that_cannot_be_written_is_one_sentence(report, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        write_junit(report, tmp_path / "file" / "gate.xml")


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("evalsuite.decisions.gate.junit.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'evalsuite\[junit\]'"):
        check_junit()
