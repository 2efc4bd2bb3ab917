"""Markdown and CSV of texts from elsewhere."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.report.export import csv_text, latex_text
from evalsuite.results.markdown import markdown_escape, markdown_list, markdown_table_lines
from evalsuite.results.runlog import read_run
from evalsuite.results.tables import markdown_table
from tests.fabricate import fabricate, verdicts

NAME = '=HYPERLINK("evil")|<b>x\n# y'


@given(st.text())
def test_a_cell_stays_one_cell_and_holds_no_html(text):
    escaped = markdown_escape(text)
    assert len(escaped.splitlines()) <= 1
    for place, sign in enumerate(escaped):
        if sign in "|<>`*[]":
            backslashes = len(escaped[:place]) - len(escaped[:place].rstrip("\\"))
            assert backslashes % 2 == 1, escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("acc_norm, 5-shot: 3.5 %", "acc_norm, 5-shot: 3.5 %"),
        ("_x_ __y__ a_b", r"\_x\_ \_\_y\_\_ a_b"),
        ("# heading", r"\# heading"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("-0.5", "-0.5"),
        ("a\x1b[2J", r"a\\x1b\[2J"),
    ],
)
def test_signs_with_a_meaning_are_escaped_and_others_are_not(text, shown):
    assert markdown_escape(text) == shown


def test_a_table_has_as_many_cells_as_columns():
    lines = markdown_table_lines(("a", "b"), ("a",), [("x|y", "1")])
    assert lines == ["| a | b |", "| --- | ---: |", r"| x\|y | 1 |"]
    assert markdown_list(["# x"]) == [r"- \# x"]


@pytest.fixture
def log(tmp_path):
    path = fabricate(tmp_path / "run", {"-1+2": verdicts(3, 1), "[x]": verdicts(1, 1)})
    fields = json.loads((path / "run.json").read_text("utf-8"))
    fields["spec"]["model"] = NAME
    (path / "run.json").write_text(json.dumps(fields), "utf-8")
    return read_run(path)


def test_no_exporter_writes_a_formula_or_a_tag(log):
    rows = list(csv.DictReader(io.StringIO(csv_text([(NAME, log)]))))
    assert {row["model"] for row in rows} == {"'" + NAME}
    assert rows[0]["task"] == "'-1+2"
    assert float(rows[0]["value"]) == 0.75
    table = markdown_table(log)
    assert table.splitlines()[0] == '# =HYPERLINK("evil")\\|\\<b\\>x # y'
    assert "<b>" not in table
    assert "\\\\\n{[}x] &" in latex_text([(NAME, log)])


@given(st.text(min_size=1))
def test_no_text_of_a_csv_begins_as_a_formula(text):
    from evalsuite.report.export import _csv_cell

    assert not str(_csv_cell(text)).lstrip().startswith(("=", "+", "-", "@"))
