"""The number that a solution gives as its answer, as a careful person reads it."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.scoring.statement import final_number, read_statement, spelled


def answer(text: str) -> str | None:
    value = final_number(text)
    return None if value is None else spelled(value)


STATED = [
    # the whole sentence, not its first number
    ("18.", "18"),
    ("9 * 2 = 18.", "18"),
    ("9 * $2 = $18.", "18"),
    ("18 / 2 = 9.", "9"),
    ("9 times 2, which is 18.", "18"),
    ("9 * 2 is 18.", "18"),
    ("5 more than 13, which is 18.", "18"),
    ("18, which is 2 more than 16.", "18"),
    ("16 eggs - 3 eggs - 4 eggs = 9 eggs.", "9"),
    ("16 - 3 - 4 = 9 eggs, and 9 * 2 = 18.", "18"),
    ("24 hours / 3 hours = 8", "8"),
    ("20% of 90 = 18.", "18"),
    ("x = 18.", "18"),
    ("20 - 2 = 18 out of 20", "18"),
    ("4 + 4 = 8 years old 4 years from now.", "8"),
    ("6:00 - 3:30 = 2.5 hours", "2.5"),
    ("12 inches = 1 foot", "1"),
    ("5 + 3", "8"),
    ("3*(2+4)=18", "18"),
    ("2(3+4)", "14"),
    ("2**3", "8"),
    # signs
    ("-$10.", "-10"),
    ("$-10.", "-10"),
    ("- 10.", "-10"),
    ("−10.", "-10"),
    ("–$10", "-10"),
    ("negative 10.", "-10"),
    ("minus $10.", "-10"),
    (r"$-\$10$", "-10"),
    ("16-3.", "13"),
    # fractions
    ("18/7.", "18/7"),
    ("3 / 4", "0.75"),
    ("-3/4", "-0.75"),
    ("1 1/2.", "1.5"),
    ("1½ hours", "1.5"),
    ("2 and a half hours", "2.5"),
    ("two and a half", "2.5"),
    (r"$1\frac{1}{2}$.", "1.5"),
    (r"\frac{3}{4}.", "0.75"),
    (r"$\dfrac{37}{2}$", "18.5"),
    # thousands and decimals
    ("9,500", "9500"),
    ("$9{,}500.", "9500"),
    (r"9,\!500", "9500"),
    (r"9\,500", "9500"),
    ("9 500.", "9500"),
    ("9\u00a0500", "9500"),
    ("9'500", "9500"),
    ("10 000 000", "10000000"),
    ("$1,234.50", "1234.5"),
    ("1,234,567.89", "1234567.89"),
    ("12,34,567", "1234567"),
    ("1.000.000.", "1000000"),
    ("1.000,50.", "1000.5"),
    ("1.000.", "1"),
    ("18.50.", "18.5"),
    ("18.00.", "18"),
    (".5", "0.5"),
    ("５０", "50"),
    # scales and powers
    ("2.5 million.", "2500000"),
    ("$2.5M", "2500000"),
    ("2 million.", "2000000"),
    ("5 thousand dollars", "5000"),
    ("5k", "5000"),
    ("10^3.", "1000"),
    ("10³", "1000"),
    ("3 * 10^5", "300000"),
    (r"$3 \times 10^{5}$", "300000"),
    ("1.5e6", "1500000"),
    # units
    ("18%.", "18"),
    (r"18\%", "18"),
    ("18 percent", "18"),
    ("18cm", "18"),
    ("60 km/h", "60"),
    ("100-dollar bills", "100"),
    ("USD 10", "10"),
    ("Rs. 500", "500"),
    ("18th", "18"),
    ("5 times", "5"),
    ("68 square feet.", "68"),
    (r"\text{18 dollars}", "18"),
    # words around it
    ("that Tom has 5 apples left", "5"),
    ("that in 5 days, she makes 18", "18"),
    ("18 dollars for 2 weeks.", "18"),
    ("18 dollars for 2 adults and 3 children", "18"),
    ("18 out of 20.", "18"),
    ("18 of the 20 students", "18"),
    ("18, not 20.", "18"),
    ("not 20 but 18", "18"),
    ("about 18", "18"),
    ("18 (9 * 2).", "18"),
    ("18, i.e. 18 dollars", "18"),
    ("eighteen.", "18"),
    ("one hundred and five.", "105"),
    ("twenty-five dollars", "25"),
    # markup
    (r"\boxed{18}.", "18"),
    ("**18**.", "18"),
    ("__18__", "18"),
    ("*18*", "18"),
    ("`18`", "18"),
    ("$18$", "18"),
    (r"\(18\)", "18"),
    ("$$18$$", "18"),
    ("\n18", "18"),
    (":\n\\[\n18\n\\]", "18"),
    (": **$18**.", "18"),
    ("<<9*2=18>>18", "18"),
    ("~~17~~ 18", "18"),
    # no answer: several numbers, or something that is no number
    ("5 apples and 3 pears.", None),
    ("9 * 2 = 18 dollars and 3 * 4 = 12 pears.", None),
    ("18 or 20.", None),
    ("between 5 and 10.", None),
    ("5-10.", None),
    ("5 to 10", None),
    ("5 feet 10 inches.", None),
    ("$5 each, $15 total", None),
    ("3:30.", None),
    ("3:30 pm.", None),
    ("3 : 4", None),
    ("1,5.", None),
    ("1234,567", None),
    ("1.2.3", None),
    ("18x", None),
    ("± 5", None),
    ("more than 18", None),
    ("18 more than 5", None),
    ("not 18.", None),
    ("half of 36.", None),
    ("twice 9", None),
    ("1/2 of 36", None),
    ("20% of 90", None),
    ("the sum of 9 and 9", None),
    ("the square of 3", None),
    ("($10).", None),
    (r"$\sqrt{16}$", None),
    ("1/0", None),
    ("9^9^9^9", None),
    ("unknown.", None),
]


@pytest.mark.parametrize(("stated", "value"), STATED)
def test_a_statement_has_the_value_that_a_person_reads_or_none(stated, value):
    assert answer(f"So she sold 3.\nThe answer is {stated}") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The answer is 5. Wait. The answer is 6.", "6"),
        ("The answer is 18.\nThe answer is correct.", "18"),
        ("The answer is 18. I hope it is correct.", "18"),
        ("The answer is 18. So 18 / 2 =", "18"),
        ("The answer is 18. The answer is 36 / 2 =", "18"),
        ("The answer is 18.\n\nQuestion: x has 5.\nAnswer: The answer is 7.", "18"),
        ("18 is the answer.\nQ: and now?\nA: The answer is 5", "18"),
        ("Question: how many?\nAnswer: The answer is 7.", "7"),
        ("#### 18", "18"),
        ("9 * 2 = <<9*2=18>>18 dollars.\n#### 18", "18"),
        ("**Final Answer:** 18 dollars", "18"),
        ("The answer to the question is 18", "18"),
        (r"So we get \boxed{18} dollars for 2 days.", "18"),
        (r"The answer is \boxed{5} apples and \boxed{3} pears.", None),
        (r"First \boxed{5}, so finally \boxed{3}.", "3"),
        ("Answer: $18 per day", "18"),
        # no statement is marked: the last sentence with a number
        ("18", "18"),
        ("She makes 9 * 2 = $<<9*2=18>>18 every day.", "18"),
        ("He paid $5 for 3 apples. So 2 * 6 = 12.", "12"),
        ("If the total was 500, she counted 500-250 = 250 customers on the third day.", "250"),
        ("He has 3 cats. They are nice.", "3"),
        ("He has 3 cats and 2 dogs.", None),
        ("No idea.", None),
        ("", None),
    ],
)
def test_the_last_finished_statement_before_another_question_decides(text, value):
    assert answer(text) == value


def test_a_question_at_the_beginning_is_not_another_one():
    assert answer("Question: 5 + 5?\nThe answer is 10.") == "10"


integers = st.integers(-(10**9), 10**9)
FORMS = {
    "plain": lambda n: f"{n}",
    "commas": lambda n: f"{n:,}",
    "braces": lambda n: f"{n:,}".replace(",", "{,}"),
    "negative spaces": lambda n: f"{n:,}".replace(",", r",\!"),
    "thin spaces": lambda n: f"{n:,}".replace(",", r"\,"),
    "blanks": lambda n: f"{n:,}".replace(",", " "),
    "no-break spaces": lambda n: f"{n:,}".replace(",", "\u202f"),
    "apostrophes": lambda n: f"{n:,}".replace(",", "'"),
    "typographic minus": lambda n: f"{n:,}".replace("-", "−"),
    "word": lambda n: f"{n}".replace("-", "negative "),
    "zeros": lambda n: f"{n:,}.00",
    "dollars": lambda n: f"-${-n:,}" if n < 0 else f"${n:,}",
    "dollars, sign inside": lambda n: f"${n:,}",
    "escaped": lambda n: rf"\${n}",
    "fraction": lambda n: f"{3 * n}/3",
    "LaTeX": lambda n: rf"\frac{{{7 * n}}}{{7}}",
    "sum": lambda n: f"{n - 7} + 7",
    "equation": lambda n: f"{n - 7} + 7 = {n}",
    "named": lambda n: f"x = {n}",
}
SENTENCES = (
    *(
        "The answer is {}.",
        "The answer is {}",
        "the answer is: {}\n",
        "So 3 - 1 = 2. The final answer is {}!",
    ),
    *("The answer is **{}**.", "The answer is ${}$.", r"The answer is \boxed{{}}.", r"\boxed{{}}", "#### {}"),
    *(
        "The answer is {} dollars per day.",
        "The answer is {} for 3 weeks.",
        "Answer: {} apples",
        "She has {} left.",
    ),
    *(
        "The answer is {}.\n\nQuestion: 1 + 1?\nThe answer is 2.",
        "The answer is {} ({}).",
        r"The answer is \text{{}}",
    ),
)


@settings(deadline=None, max_examples=300)
@given(value=integers, form=st.sampled_from(sorted(FORMS)), sentence=st.sampled_from(SENTENCES))
def test_an_integer_reads_back_as_itself_however_it_is_written(value, form, sentence):
    written = FORMS[form](value)
    assert final_number(sentence.replace("{}", written)) == value


@settings(deadline=None, max_examples=200)
@given(
    value=st.decimals(-(10**6), 10**6, places=3, allow_nan=False, allow_infinity=False),
    zeros=st.integers(0, 3),
    sentence=st.sampled_from(SENTENCES),
)
def test_a_decimal_number_reads_back_as_itself_with_any_zeros_behind_it(value, zeros, sentence):
    written = f"{value:,f}" + "0" * zeros
    text = sentence.replace("{}", written)
    assert final_number(text) == Fraction(str(value))


@given(st.fractions())
def test_each_value_has_one_spelling_and_reads_back(value):
    read = read_statement(spelled(value))
    assert read is not None
    assert read.value == value


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["The answer is ", "answer: ", "####", r"\boxed{", "}", "$", "(", ")", "18", "1,800", "/", "*"]
        )
        | st.sampled_from(
            [" = ", " which is ", "not ", "-", ".", ":", "^", r"\frac", "{", "½", "\n", " of ", " than "]
        )
        | st.text(max_size=3),
        max_size=14,
    ).map("".join)
)
def test_any_text_has_a_number_or_none(text):
    assert isinstance(final_number(text), Fraction | None)


@pytest.mark.parametrize(
    "unit", ["The answer is ", "(", "1", "1 ", "1,", "-", r"\frac{", r"\boxed{", "answer to ", "2^"]
)
def test_a_long_text_takes_time_in_proportion(unit):
    import time

    def seconds(times: int) -> float:
        began = time.process_time()
        final_number(unit * times)
        return time.process_time() - began

    seconds(100)
    assert seconds(40_000) < 40 * max(seconds(4_000), 0.005)
