"""Both sanitisers against the references' own outputs, against a plain restatement, and against hostile
texts."""

import ast
import json
import random
import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.scoring.blocks import ParsableBlocks
from evalsuite.scoring.sanitize import longest_parsing_block, sanitized
from tests.golden.golden import GOLDEN, needs_golden, needs_package

DIALECTS = {"evalplus": "evalplus_0_3_1", "nvidia": "nvidia_25_5"}
"""Column of the golden file by dialect."""

LINES = (
    "def f(x):",
    "    return x + 1",
    "    y = x",
    "def g(x): return f(x)",
    "async def h():",
    "class A:",
    "    def m(self):",
    "        return self.x",
    "@cache",
    "import os",
    "from math import *",
    "x, y = 1, 2",
    "a.b = c",
    "d[0] = x",
    "z: int = 3",
    "k = lambda v: f(v)",
    "print(f(1))",
    "print 'f'",
    "assert f(2) == 3",
    "if x:",
    "else:",
    "try:",
    "    pass",
    "for i in range(3):",
    "It's another way, isn't it",
    "Here is one (of many",
    "```python",
    "# a comment",
    "'''",
    '"""',
    "s = 'abc",
    "(",
    "[1,",
    "     2]",
    "}",
    "\\",
    "1abc",
    "“quoted”",
    "é = 'ü'",
    "f'{x!r:>{y}}'",
    "f'{a b}'",
    "",
    "   ",
    "\t",
    "\x0c",
    "\u00a0",
    "a\rb",
    "x = 1; import re",
)


def some_text(seed: int) -> str:
    """Lines that fit together, more or less."""
    rng = random.Random(seed)
    lines = [rng.choice(LINES) for _ in range(rng.randrange(18))]
    return "\n".join(" " * rng.choice([0, 0, 0, 0, 4]) + line for line in lines)


@needs_golden
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_public_row_of_the_golden_table_agrees(dialect):
    rows = [json.loads(line) for line in (GOLDEN / "scorers" / "code_sanitize.jsonl").open("rb")]
    wanted = {row["row"]: row[DIALECTS[dialect]]["text"] for row in rows}
    assert {row["row"]: sanitized(row["code"], row["entry_point"], dialect) for row in rows} == wanted
    assert len(rows) == 41


@needs_package("evalplus")
def test_generated_programs_are_sanitised_as_evalplus_does():
    from evalplus.sanitize import sanitize

    for seed in range(600):
        text, entry_point = some_text(seed), random.Random(seed).choice([None, "f", "g", "k", "x"])
        assert sanitized(text, entry_point, "evalplus") == sanitize(text, entry_point), seed


def plain_longest_block(text: str, fewest_lines: int) -> str:
    """The rule as it reads: every run of lines is tried."""
    lines = text.split("\n")
    most, found = 0, (0, 1)
    for start in range(len(lines)):
        for end in range(start + fewest_lines, len(lines) + 1):
            count = sum(bool(line.strip()) for line in lines[start:end])
            if count > most and parses("\n".join(lines[start:end])):
                most, found = count, (start, end)
    return "\n".join(lines[slice(*found)])


def parses(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError):
            return False
    return True


@pytest.mark.parametrize("fewest_lines", [1, 2])
def test_the_block_is_the_one_that_trying_every_run_of_lines_finds(fewest_lines):
    for seed in range(1500, 3000):
        text = some_text(seed)
        assert longest_parsing_block(text, fewest_lines) == plain_longest_block(text, fewest_lines), seed


@given(st.text("def f(x): return\n \\'\"()[]{}#;=,\0é", max_size=60))
def test_the_block_is_the_same_for_any_text(text):
    assert longest_parsing_block(text) == plain_longest_block(text, 1)


@pytest.mark.parametrize(
    ("text", "entry_point", "kept"),
    [
        ("def f():\n    return 1\n\nprint(f())", None, "def f():\n    return 1"),
        ("def f():\n    print(1)\nx = 2", None, "x = 2"),
        ("def f():\n    print(1)", None, "def f():\n    print(1)"),
        ("@cache\ndef g(): return 1\ndef f(): return g()", "f", "def f(): return g()"),
        (
            "def g(): return 1\ndef h(): return 2\ndef f(): return g()",
            "f",
            "def g(): return 1\ndef f(): return g()",
        ),
        ("x = 1\nimport os\ndef f(): return 1", None, "import os\nx = 1\ndef f(): return 1"),
        ("def f(): return 1\ndef f(): return 2", None, "def f(): return 1"),
        ("", None, ""),
    ],
    ids=[
        "demonstration",
        "no return",
        "nothing else",
        "decorated",
        "unreachable",
        "imports first",
        "twice",
        "empty",
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_stays_of_the_top_level(text, entry_point, kept, dialect):
    assert sanitized(text, entry_point, dialect) == kept


def test_the_dialects_differ_on_single_lines_and_on_assignments_without_a_plain_name():
    assert sanitized("say hello\nx = 1\nbye now", None, "nvidia") == "x = 1"
    assert sanitized("say hello\nx = 1\nbye now", None, "evalplus") == "say hello"
    two = "a, b = 1, 2\ndef f(): return a"
    assert sanitized(two, None, "evalplus") == two
    assert sanitized(two, None, "nvidia") == "def f(): return a"


DEGENERATE = {
    "an assignment over and over": "x = 1\n" * 700,
    "a function head over and over": "def f():\n" * 700,
    "prose with apostrophes": "Here's a solution, isn't it\n" * 700,
    "an open bracket in the middle": "x = 1\n" * 350 + "(\n" + "x = 1\n" * 350,
    "an open string in the middle": "x = 1\n" * 350 + '"""\n' + "abc def\n" * 350,
    "null bytes": "x = 1\0\n" * 200,
    "nesting": "(" * 100_000,
    "many signs": "x = " + "-" * 100_000 + "1",
    "a long chain": "a" + ".b" * 100_000,
    "a megabyte in one line": 'x = "' + "a" * 1_000_000 + '"',
    "blank lines": "\n" * 100_000,
    "a lone surrogate": 'x = "\ud800"\ndef f():\n    return 1',
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_a_degenerate_text_is_done_in_seconds(name):
    began = time.process_time()
    assert isinstance(sanitized(DEGENERATE[name], None, "nvidia"), str)
    assert time.process_time() - began < 10


ADVERSARIAL = {
    "calls that Python finds wrong late": lambda n: "f(a=1, 2)\n" * n,
    "the same in a function": lambda n: "def f():\n" + "    f(a=1, 2)\n" * n,
    "continuations": lambda n: "x \\\n" * n,
    "nothing but backslashes": lambda n: "\\\n" * n,
    "elif": lambda n: "if a:\n    pass\n" + "elif b:\n    pass\n" * (n // 2),
    "a try without its end": lambda n: "def f():\n    return 1\n    try:\n" + "        x = 1\n" * n,
    "decorators": lambda n: "@a\n" * n,
    "brackets that stay open": lambda n: "x = (1,\n" * n,
    "strings that close and open": lambda n: 'x = """ + """ + """\n' * n,
    "headers": lambda n: "def f():\n" * n,
    "prose": lambda n: "Here's a solution, isn't it\n" * n,
    "null bytes": lambda n: "def f():\n" + "    x = 1\n" * n + "    \0\n" * n,
    "a function that breaks in the middle": lambda n: (
        "def f():\n" + "    x = 1\n" * n + "    f(a=1, 2)\n" * n
    ),
    "nested headers": lambda n: "".join(" " * depth + "if a:\n" for depth in range(99)) * (n // 99),
    "late exceptions": lambda n: "try:\n    a\n" + "except:\n    b\n" * (n // 2),
    "statements on one line": lambda n: "x = 1;" * n,
}


@pytest.mark.parametrize("dialect", ["nvidia", "python"])
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_twice_the_text_takes_twice_the_steps(name, dialect):
    """Of what Python and the scan are given, in lines: independent of the machine."""
    few, many = (ParsableBlocks(ADVERSARIAL[name](n), dialect == "python") for n in (600, 1_200))
    few.longest(1)
    many.longest(1)
    assert many.steps < 2.5 * few.steps + 20_000
    assert many.steps < 250 * len(many.lines) + 50_000


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_what_follows_a_right_answer_does_not_hide_it(name):
    right = "def right(x):\n    a = x\n    return a\n"
    text = right + "\n" + ADVERSARIAL[name](400)
    assert "def right(x):" in sanitized(text, "right", "python")
    assert sanitized(text, "right", "python").startswith(right.strip())
