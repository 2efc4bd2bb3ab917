"""The score table as CSV and LaTeX."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.report.export import csv_text, latex_escape, latex_text
from evalsuite.results.runlog import read_run
from tests.fabricate import Made, fabricate, verdicts


@pytest.fixture
def runs(tmp_path):
    first = fabricate(
        tmp_path / "model_a",
        {
            "quiz_100%": Made(verdicts(3, 1), record={"shots": 5}),
            "loss": Made([0.5, 0.7], metric="bits_per_byte"),
        },
    )
    second = fabricate(tmp_path / "model_b", {"quiz_100%": Made(verdicts(2, 2), failed=[0])})
    return [(path.name, read_run(path)) for path in (first, second)]


def test_csv_has_all_digits_and_a_row_for_what_has_no_score(runs):
    rows = list(csv.DictReader(io.StringIO(csv_text(runs))))
    assert [(row["model"], row["task"], row["metric"], row["value"]) for row in rows] == [
        ("model_a", "quiz_100%", "acc", "0.75"),
        ("model_a", "loss", "bits_per_byte", "0.6"),
        ("model_b", "quiz_100%", "acc", ""),
    ]
    log = runs[0][1]
    assert float(rows[0]["low"]) == log.tasks[0].metrics["acc"].low
    assert (rows[2]["failed"], rows[2]["documents"], rows[2]["problem"]) == ("1", "4", "1 documents failed")


def test_latex_has_one_column_for_each_run(runs):
    lines = latex_text(runs).splitlines()
    assert r"Task & Metric & model\_a & model\_b \\" in lines
    [row] = [line for line in lines if line.startswith("quiz")]
    assert row.startswith(r"quiz\_100\% (5-shot) & acc & 75.0 {\scriptsize [30.1, 95.4]} & --- \\")
    assert any(line.startswith(r"loss & bits\_per\_byte & 0.6000") for line in lines)
    assert lines[-1] == r"\end{tabular}"


def test_latex_escapes_every_sign_with_a_meaning():
    assert latex_escape("a_b & 5% of $x^2 {~#\\<>") == (
        r"a\_b \& 5\% of \$x\textasciicircum{}2 "
        r"\{\textasciitilde{}\#\textbackslash{}\textless{}\textgreater{}"
    )


@given(st.text())
def test_latex_text_stays_on_its_line(text):
    assert len(latex_escape(text).splitlines()) <= 1
