"""MATH in recipe `evalsuite`: the last box decides, and its answer is right where a person would say so."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.latex import boxes, extract_boxed
from evalsuite.scoring.math_answer import final_answer, math_answer_verdict
from tests.golden.golden import SHARED, needs_shared


def right(gold: str, answer: str) -> bool:
    return math_answer_verdict(rf"So $\boxed{{{gold}}}$.", rf"Thus $\boxed{{{answer}}}$.")["correct"]


SAME = [
    ("840", "840."),
    ("840", r"\text{840}"),
    ("840", r"\mathbf{840}"),
    ("840", r"\mathbf{\frac{1680}{2}}"),
    ("840", "840 cm"),
    ("840", r"840~\mathrm{cm}"),
    ("840", r"840\%"),
    ("840", "840.00"),
    ("5", "x = 5"),
    ("x=5", "5"),
    ("5", r"\angle ABC = 5"),
    ("5", r"5 \text{ apples}"),
    (r"90^\circ", r"90\degree"),
    (r"90^\circ", "90"),
    (r"\frac{270}7\text{ degrees}", r"\frac{270}{7}^\circ"),
    (r"864 \mbox{ inches}^2", "864"),
    (r"864 \mbox{ inches}^2", r"864 \text{ square inches}"),
    (r"864 \mbox{ inches}^2", r"864\text{ in}^2"),
    (r"\$18.90", "18.9"),
    (r"5.4 \text{ cents}", "5.4"),
    (r"50\%", "0.5"),
    (r"50\%", "50"),
    ("52_8", "52_{8}"),
    ("52_8", "52"),
    ("52", "52_{10}"),
    (".0000672", r"6.72 \times 10^{-5}"),
    (r"\frac{1}{2004!}", r"\dfrac{1}{2004!}"),
    (r"\frac{1}{2}", "0.5"),
    (r"\frac{1}{3}", r"0.\overline{3}"),
    (r"137 \frac{1}{2}", "137.5"),
    (r"\frac 34", "3/4"),
    (r"\frac34", "3:4"),
    (r"10,\!080", "10080"),
    (r"10,\!080", "10,080"),
    (r"11,\! 111,\! 111,\! 100", "11111111100"),
    (r"\frac{3\sqrt{3}}{4}", r"\frac{3}{4}\sqrt{3}"),
    (r"\sqrt{8}", r"2\sqrt2"),
    (r"11\sqrt{5}+11", r"11(1+\sqrt5)"),
    ("6+9i", "9i+6"),
    ("(a+5)(b+2)", "ab+2a+5b+10"),
    (r"\cot x", r"\frac{\cos x}{\sin x}"),
    ("y = 2x + 3", "2x+3"),
    ("y = 2x + 3", "2x - y + 3 = 0"),
    ("1,-2", "-2, 1"),
    ("1,-2", r"\{1,-2\}"),
    ("1,-2", r"x = 1 \text{ or } x = -2"),
    (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}"),
    (r"\{1\pm\sqrt{5},-2\}", r"-2,1+\sqrt5,1-\sqrt5"),
    ("(-1,6)", r"\left( -1, 6 \right)"),
    ("(-1,6)", "x=-1, y=6"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\pi/2)"),
    (r"x \in [-2,7]", r"-2 \le x \le 7"),
    ("[-2,7]", r"7 \geq x \geq -2"),
    (r"(5,\infty)", "x > 5"),
    (r"(-\infty, 2) \cup (3, \infty)", r"x<2 \text{ or } x>3"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "(1,2)"),
    (r"\text{(B)}", "B"),
    (r"\text{Evelyn}", "Evelyn."),
]
DIFFERENT = [
    ("5", "-5"),
    ("5", "50"),
    ("5", "(10^9)!"),
    ("5", "9^{9^{9^9}}"),
    ("5", "5x"),
    ("52_8", "52_9"),
    ("52_8", "53_8"),
    ("52", "52_8"),
    (".0000672", ".0000668"),
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}"),
    (r"\frac{1}{3}", "0.33"),
    (r"\pi", "3.14159265"),
    (r"864 \mbox{ inches}^2", r"864 \mbox{ inches}^3"),
    (r"45 \text{ units}^2", r"45 \text{ units}^3"),
    (r"5 \text{ cm}", r"5 \text{ m}"),
    (r"\$18.90", r"\$18.91"),
    ("x=5", "x=6"),
    ("y = 2x + 3", "y=2x-3"),
    ("p-q", "q-p"),
    ("1,-2", "1"),
    ("1,-2", "1,2"),
    ("(-1,6)", "[-1,6]"),
    ("(2,4)", "(4,2)"),
    (r"(5,\infty)", r"x \ge 5"),
    (r"\begin{pmatrix} -1 & 0 \\ 0 & -1 \end{pmatrix}", r"\begin{pmatrix} -1 & 0 \\ 0 & 1 \end{pmatrix}"),
    (r"\text{even}", r"\text{odd}"),
    (r"\text{(B)}", "C"),
    ("5", ""),
]


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_an_answer_is_right_however_it_is_written(gold, answer):
    assert right(gold, answer)


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_another_value_base_unit_or_order_is_wrong(gold, answer):
    assert not right(gold, answer)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"First \boxed{1}, but the right answer is \boxed{840}.", "840"),
        (r"The answer is \boxed{840}, so we are done: \boxed{840}.", "840"),
        (r"\boxed{\frac{1}{2}} and \boxed{3", r"\frac{1}{2}"),
        (r"\boxed 5", "5"),
        (r"\fbox{5}", "5"),
        (r"\boxed{x = \boxed{5}}", r"x = \boxed{5}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        ("The final answer is $5$. I hope it is correct.", "$5$"),
        ("The answer is 5.", "5"),
        (r"Final Answer: The final answer is $\frac{14}{3}$. I hope it is correct.", r"$\frac{14}{3}$"),
        ("The answer is 4. No: the final answer is 5.", "5"),
        ("**Final answer: 12**", "12"),
        ("**Answer:** $5$", "$5$"),
        ("Answer: 3.5", "3.5"),
        ("The answer is therefore $5$.", "$5$"),
        ("The answer is thus equal to $x = 5$, since $x > 0$.", "$x = 5$"),
        ("The answer is $x=3$ or $x=5$.", "$x=3$ or $x=5$"),
        ("The answer is 5, because 2 + 3 = 5.", "5"),
        (r"The answer is \(5\).", r"\(5\)"),
        ("The answer is\n\n\\[\n\\frac12\n\\]", "\\[\n\\frac12\n\\]"),
        (r"The answer is $11,\! 111$. Done.", r"$11,\! 111$"),
        ("The answer to the problem is 5 so we stop.", "5"),
        ("the answer is not 5.", "not 5"),
        ("The answer is", None),
        ("I do not know.", None),
        (r"\boxed{3", None),
        ("", None),
    ],
)
def test_the_last_box_that_closes_decides(text, answer):
    assert final_answer(text) == answer


def test_boxes_of_a_long_text_are_found_in_proportionate_time():
    import time

    began = time.process_time()
    assert boxes(r"\boxed{" * 200_000) == []
    assert time.process_time() - began < 5


DRESSED = {
    "itself": lambda gold: gold,
    "a dot": lambda gold: gold + ".",
    "text": lambda gold: rf"\text{{{gold}}}",
    "bold": lambda gold: rf"\mathbf{{{gold}}}",
    "dollars": lambda gold: f"${gold}$",
    "large fractions": lambda gold: gold.replace(r"\frac", r"\dfrac"),
    "blanks": lambda gold: f" {gold} ",
    "a unit": lambda gold: gold + r"~\mathrm{cm}" if re.fullmatch(r"-?\d+|\d*\.\d+", gold) else gold,
    "percent": lambda gold: gold + r"\%" if re.fullmatch(r"-?\d+", gold) else gold,
    "an equation": lambda gold: f"x = {gold}" if re.fullmatch(r"-?\d+", gold) else gold,
}


def _next_number(gold: str) -> str:
    """With the middle one of its numbers larger by 1."""
    numbers = list(re.finditer(r"\d+", gold))
    if not numbers:
        return gold
    one = numbers[len(numbers) // 2]
    return gold[: one.start()] + str(int(one[0]) + 1) + gold[one.end() :]


STATED = [
    "Final Answer: The final answer is ${}$. I hope it is correct.",
    "So the answer is therefore ${}$, since 1 + 1 = 2.",
    "Answer: ${}$",
    "**Answer:** \\({}\\)",
    "The answer is\n\\[\n{}\n\\]\nas required.",
    "The answers are $${}$$.",
]
"""Texts without a box that state an answer."""

CHANGED = {
    "number": _next_number,
    "sign": lambda gold: (
        gold[1:]
        if re.fullmatch(r"-[\d.]+", gold)
        else "-" + gold
        if re.fullmatch(r"[1-9]\d*", gold)
        else gold
    ),
    "base": lambda gold: re.sub(r"_\{?(\d)\}?$", lambda match: f"_{int(match[1]) % 9 + 1}", gold),
    "power": lambda gold: re.sub(r"\^2$", "^3", gold),
    "bracket": lambda gold: gold.replace("(", "[", 1) if re.match(r"(\\left)?\(.*,", gold) else gold,
    "small": lambda gold: gold + "1" if re.fullmatch(r"\d*\.\d+", gold) else gold,
}


@needs_shared
def test_every_gold_answer_of_math_500_is_right_in_all_its_dresses_and_wrong_once_changed():
    import pyarrow.parquet as pq

    [file] = (SHARED / "HuggingFaceH4" / "MATH-500" / "data").glob("test*.parquet")
    golds = [extract_boxed(text) for text in pq.read_table(file).column("solution").to_pylist()]
    assert len(golds) == 500
    assert [
        (name, gold) for name, dress in DRESSED.items() for gold in golds if not right(gold, dress(gold))
    ] == []
    unfound = [
        frame.format(gold)
        for frame in STATED
        for gold in golds
        if not math_answer_verdict(rf"\boxed{{{gold}}}", frame.format(gold))["correct"]
    ]
    assert unfound == []
    changed = [(gold, change(gold)) for change in CHANGED.values() for gold in golds if change(gold) != gold]
    assert len(changed) > 500
    assert [pair for pair in changed if right(*pair)] == []


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.sampled_from(
            ["1", "2", "x", "+", "-", "^", "_", "{", "}", "(", ")", ",", r"\frac", r"\sqrt", r"\text{", "="]
        )
        | st.sampled_from(
            [r"\pm", r"\cup", r"\infty", "!", "|", "[", "]", r"\le", "%", " cm", r"\begin{pmatrix}", "&"]
        )
        | st.text(max_size=2),
        max_size=10,
    ).map("".join)
)
def test_any_answer_gets_a_verdict_and_equals_itself(answer):
    for text in (rf"\boxed{{{answer}}}", answer):
        assert math_answer_verdict(r"\boxed{7}", text)["correct"] in (True, False)
    if answer.strip() and [box.content for box in boxes(rf"\boxed{{{answer}}}")] == [answer]:
        assert right(answer, answer)
