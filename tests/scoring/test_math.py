"""math-verify's verdicts, on examples and on the reference's table."""

import json

import pytest

from evalsuite.scoring.math import SHOWN, math_verdict, nvidia_math_verdict
from evalsuite.scoring.workers import call_all
from tests.golden.golden import GOLDEN

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


HALF = r"So $x = \boxed{\frac{1}{2}}$."


@pytest.mark.parametrize(
    ("gold", "text", "decided_by"),
    [
        (HALF, r"\boxed{0.5}", "both"),
        (HALF, "the answer is 1/2", "math_verify"),
        (r"\boxed{0.5}", r"\boxed{50}", "math_grader"),  # taken for a percentage
        (HALF, r"\boxed{0.6}", "neither"),
        (HALF, "", "neither"),
        (HALF, r"\boxed{\frac{1}{2}", "math_verify"),
        ("no answer", "none either", "math_verify"),  # the reference's quirk: nothing equals nothing
    ],
)
def test_either_judge_will_do(gold, text, decided_by):
    verdict = nvidia_math_verdict(gold, text)
    assert verdict["decided_by"] == decided_by
    assert verdict["correct"] == (decided_by != "neither")


def test_extracted_is_the_box_else_what_math_verify_read_cut_to_a_readable_length():
    assert nvidia_math_verdict(HALF, r"1/3 = \boxed{ x }")["extracted"] == " x "
    assert nvidia_math_verdict(HALF, "it is 1/3")["extracted"] == "1/3"
    assert nvidia_math_verdict(HALF, "?")["extracted"] is None
    assert len(nvidia_math_verdict(HALF, r"\boxed{" + "x" * 5000 + "}")["extracted"]) == SHOWN


@pytest.mark.parametrize("text", [r"\boxed{10^{5000}}", "10^5000", "9" * 5000])
def test_a_number_that_python_will_not_print_has_a_verdict(text):
    assert nvidia_math_verdict(HALF, text)["correct"] is False
    assert nvidia_math_verdict(r"\boxed{10^{5000}}", text)["correct"] is ("10" in text)


def test_a_step_beyond_its_limit_is_not_equal(monkeypatch):
    from evalsuite.scoring import math

    monkeypatch.setattr(math, "MATH_VERIFY_SECONDS", 0.05)
    assert math_verdict("1", r"\boxed{10^{10^{10^{10}}}}")["correct"] is False
    assert math_verdict("1", "$" + r"\frac{1}{" * 300 + "x" + "}" * 300 + "$")["correct"] is False


@pytest.mark.parametrize(
    ("target", "text", "correct"),
    [
        ("minerva_math", r"Final Answer: The final answer is $\frac{1}{2}$. I hope it is correct.", True),
        ("minerva_math", r"\boxed{\frac{1}{2}}", False),
        ("hendrycks_math", r"It is $\frac12$ then", True),
        ("hendrycks_math", r"1/2", True),
        ("hendrycks_math", r"It is 1/2", False),
    ],
)
def test_lm_evals_own_scorers(target, text, correct):
    from evalsuite.scoring import lm_eval_math

    assert getattr(lm_eval_math, f"{target}_verdict")(HALF, text)["correct"] is correct


def test_a_gold_solution_without_a_box_has_no_verdict_in_lm_evals_scorers():
    [failed] = call_all("evalsuite.scoring.lm_eval_math:minerva_math_verdict", [("7", "7")])
    assert "the gold solution has no" in str(failed)
