"""math-verify's verdicts, on examples and on the reference's table."""

import json

import pytest
from golden import GOLDEN

from evalsuite.scoring.math import math_verdict
from evalsuite.scoring.workers import call_all

TABLE = GOLDEN / "scorers" / "gsm8k.jsonl"


@pytest.mark.parametrize(
    ("gold", "text", "correct"),
    [
        ("18", r"So the answer is \boxed{18}.", True),
        ("18", r"She has 16 - 3 = 13, then 9 * 2 = \boxed{18.0}.", True),
        ("18", r"First \boxed{18}. No: \boxed{19}.", False),
        ("18", r"\boxed{17}", False),
        ("18", "", False),
        ("18", "I do not know.", False),
        ("1800", r"\boxed{1,800}", True),
        ("0.5", r"\boxed{\frac{1}{2}}", True),
        ("-3", r"\boxed{-3}", True),
        ("3", r"\boxed{-3}", False),
    ],
)
def test_the_value_decides_not_the_spelling(gold, text, correct):
    assert math_verdict(gold, text)["correct"] is correct


def test_the_extracted_answer_is_what_the_text_says():
    assert math_verdict("1", r"\boxed{42}")["extracted"] == "42"
    assert math_verdict("1", "nothing here")["extracted"] is None


@pytest.mark.skipif(not TABLE.is_file(), reason="needs ../shared/golden beside the checkout")
def test_every_verdict_is_the_references():
    rows = [json.loads(line) for line in TABLE.read_text("utf-8").splitlines()]
    calls = [(row["gold"], row["completion"]) for row in rows]
    verdicts = call_all("evalsuite.scoring.math:math_verdict", calls)
    differing = [
        (row["row"], row["tag"], verdict)
        for row, verdict in zip(rows, verdicts, strict=True)
        if verdict["correct"] != bool(row["nvidia_exact_match"])
    ]
    assert not differing
    assert len(rows) > 30
    assert len({verdict["correct"] for verdict in verdicts}) == 2
