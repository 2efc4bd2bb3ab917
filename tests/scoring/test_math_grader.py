"""The older grader's rules, one by one, and that a text is read but never run."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.latex import extract_boxed
from evalsuite.scoring import math_symbols
from evalsuite.scoring.math_grader import LONGEST_GOLD, math_equal
from evalsuite.scoring.math_normal import Ambiguous, normalized
from evalsuite.scoring.math_symbols import agree_within


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"so \boxed{5}", "5"),
        (r"\boxed{1} or rather \boxed{2}.", "2"),
        (r"\boxed{\frac{1}{2}} is it", r"\frac{1}{2}"),
        (r"\boxed{\text{a \{ b}}", None),  # an escaped brace counts as a brace
        (r"\boxed{}", ""),
        (r"\boxed 5", None),
        (r"\boxed {5}", None),
        (r"\fbox{5}", None),
        (r"\boxed{5} and \boxed{6", None),
        (r"\boxed{{{{}", None),
        ("5", None),
        ("", None),
    ],
)
def test_the_last_box_that_closes_is_the_answer(text, content):
    assert extract_boxed(text) == content


@given(st.text(alphabet="ab{} ", max_size=30).filter(lambda text: text.count("{") == text.count("}")))
def test_whatever_closes_before_the_box_does_comes_out_again(content):
    depth = 0
    for character in content:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return
    assert extract_boxed(r"\boxed{7}, no: \boxed{" + content + "} }}") == content


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("$5", "5"),
        ("50%", "50"),
        (r"50\%", "50"),
        (r"\$1{,}000", "1{,}000"),
        (r"\left(1, 2\right]", "(1,2]"),
        (r"3 \text{ or } 5", "3,5"),
        (r"3 \text{or} \text{and} 5", "3,5"),
        ("3 or 5", "3,5"),
        (r"5\text{ cm}", "5"),
        (r"5 \mbox{ feet}", "5"),
        (r"\text{blue}", "blue"),
        (r"\text{a} \text{b}", "ab"),
        (r"x \in [1, 2]", "[1,2]"),
        (r"\mathrm{even}", "even"),
        ("3 million", "3*10^6"),
        ("5 inches^2", "5"),
        ("7 hours", "7"),
        ("30 days", "30"),
        ("Sunday", "Sunday"),
        (r"90^\circ", "90"),
        (r"90^{\circ}", "90"),
        ("{5}", "5"),
        (r"\sqrt2", r"\sqrt{2}"),
        (r"\frac12", r"\frac{1}{2}"),
        (r"\frac1{72}", r"\frac{1}{72}"),
        (r"\frac 3 4", r"\frac{3}{}4"),
        ("7 3/4", "7+3/4"),
        (r"7\frac{3}{4}", "7+3/4"),
        ("1,000,000", "1000000"),
        ("1,2", "1,2"),
        ("5.0", "5"),
        ("4.99999999", "4"),
        ("11_2", "11"),
        ("- 3", "-3"),
        ("nan", "nan"),
        ("inf", "inf"),
    ],
)
def test_an_answer_is_normalised_rule_by_rule(answer, form):
    assert normalized(answer) == form


def test_several_boxes_of_text_are_no_answer():
    with pytest.raises(Ambiguous):
        normalized(r"5 \mbox{ a} \mbox{ b}")
    assert not math_equal(r"5 \mbox{ a} \mbox{ b}", r"5 \mbox{ a} \mbox{ b}")


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "5.0"),
        ("Blue", "blue"),
        ("1.0001", "1.0002"),
        ("0.5", "50"),
        ("50", "0.5"),
        ("(1,2)", "1,2"),
        ("[1,2]", "1,2"),
        (r"(\frac{1}{2},3)", "(0.5,3)"),
        ("[2,5)", "[2,5]"),
        ("(2,5)", "(2,5]"),
        ("1,2", "1,2.0001"),
        (r"\frac{1}{3}", "0.33333"),
        ("x+1", "1+x"),
        (r"(x+1)^{2}", "x^{2}+2x+1"),
        ("2**3", "8"),
        ("2^3", "1"),  # the reference's Python reading: bitwise
        (r"\sqrt{8}", r"2\sqrt{2}"),
        ("Interval.Ropen(0,1)", "[0,1)"),
        ("", ""),
        ("None", None),
    ],
)
def test_answers_are_equal(gold, answer):
    assert math_equal(gold, answer)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (None, None),
        (None, "5"),
        ("", "5"),
        ("5", None),
        ("5", ""),
        ("5", "6"),
        ("1", "1.0003"),
        ("1,2", "2,1"),
        ("1,2", "1,2,3"),
        ("(1,2]", "[3,2]"),
        ("(2,5)", "[2,5)"),
        ("[2,5)", "(2,5)"),
        (r"\frac{1}{3}", "0.333"),
        ("x+1", "x-1"),
        ("inf", "5"),
        ("nan", "5"),
    ],
)
def test_answers_differ(gold, answer):
    assert not math_equal(gold, answer)


def test_only_the_beginning_of_a_long_gold_answer_counts():
    assert math_equal("x" * LONGEST_GOLD + "y", "x" * LONGEST_GOLD)
    assert not math_equal("x" * LONGEST_GOLD, "x" * LONGEST_GOLD + "y")


HOSTILE = [
    "__import__('os').mkdir('{0}')",
    "open('{0}','w')",
    "exec(\"open('{0}','w')\")",
    "eval(\"open('{0}','w')\")",
    "sympify(\"open('{0}','w')\")",
    "S(\"open('{0}','w')\")",
    "Integer(5).__class__.__base__.__subclasses__()",
    "[open('{0}','w') for x in [1]]",
    "(lambda: open('{0}','w'))()",
    "preview(x,output='file',filename='{0}')",
    "S(latex(Function(chr(111))(1)))",
    "input()",
    "breakpoint()",
    "print(5)",
    "x[0]",
    "x.name",
    "test()",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_an_answer_says_is_never_run(text, tmp_path, monkeypatch):
    target = tmp_path / "made"
    ran = []
    for name in ("input", "breakpoint", "print"):
        monkeypatch.setattr("builtins." + name, lambda *_: ran.append(1))
    math_symbols._namespace.cache_clear()
    said = text.format(target)
    assert agree_within(said, "5", 1e-4) is False
    assert agree_within("5", said, 1e-4) is False
    assert not target.exists()
    assert not ran
    math_symbols._namespace.cache_clear()


def test_a_step_that_takes_too_long_is_not_equal(monkeypatch):
    monkeypatch.setattr(math_symbols, "STEP_SECONDS", 0.3)
    began = time.process_time()
    assert not agree_within(r"\sum_{n=1}^{9^{9}} \sin(n)^{n}", "17", 1e-4)
    assert not agree_within("integrate(sin(x**x)*exp(x**3)*log(x+1),(x,0,1))", "17", 1e-4)
    assert time.process_time() - began < 10
