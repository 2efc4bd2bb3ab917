"""Results of a solution that are kept as text, so that it runs once for all programs of a problem."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.sandbox import Program, SandboxFailed, TooSlow, open_sandbox
from evalsuite.scoring import code
from evalsuite.scoring.plus_kept import MOST_KEPT, as_text
from evalsuite.scoring.plus_tests import comparing_script, keeping_script, script_with

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
)
KEYS = st.integers() | st.text() | st.tuples(st.text(), st.booleans())
VALUES = st.recursive(
    SCALARS, lambda parts: st.lists(parts) | st.lists(parts).map(tuple) | st.dictionaries(KEYS, parts)
)


@given(VALUES)
def test_a_text_is_the_value_again(value):
    assert repr(eval(as_text(value))) == repr(value)


class Named(str):
    pass


DEEP: list = []
for _ in range(250):
    DEEP = [DEEP]
LOOP: list = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        (1, [float("inf")]),
        {1, 2},
        Named("a"),
        object(),
        10**5000,
        LOOP,
        "a" * MOST_KEPT,
        [0] * (MOST_KEPT + 1),
        DEEP,
    ],
    ids=["nan", "infinity", "set", "subclass", "object", "digits", "loop", "long", "many", "deep"],
)
def test_what_has_no_short_literal_has_no_text(value):
    assert as_text(value) == ""


def solution(body: str, inputs: str = "[[1], [2], [3]]") -> Program:
    """`f`, and tests that ask the same function for what is right."""
    before = f"def right(x):\n{body}"
    return Program(f"def f(x):\n{body}", comparing_script(before, "f", "right", inputs, 0.0), entry_point="f")


BUSY = (
    "    import time\n    began = time.process_time()\n    while time.process_time() - began < 0.25: pass\n"
)


def test_a_slow_solution_runs_once_and_programs_are_compared_with_what_it_gave():
    slow = solution(BUSY + "    return (x, x / 2)\n", "[[x] for x in range(10)]")
    with open_sandbox(workers=1) as sandbox:
        [found] = code._limited([slow], sandbox, 3.0).values()
        right = Program("def f(x): return (x, x / 2)", found.tests, "compare", entry_point="f")
        wrong = Program(
            "def f(x): return (x, x / 2 if x < 9 else 0)", found.tests, "compare", entry_point="f"
        )
        verdicts = sandbox.run([right, wrong])
    assert found.tests == script_with(slow.tests, str([(x, x / 2) for x in range(10)]))
    assert found.cpu_seconds >= 4 * 10 * 0.25
    assert [one.outcome for one in verdicts] == ["passed", "failed"]
    assert "call 10: (9, 0) is not (9, 4.5)" in verdicts[1].detail
    assert "agrees_and_keeps(f, right, " in keeping_script(slow.tests)


@pytest.mark.parametrize(
    "body", ["    return {x}\n", "    return float('nan')\n", "    return [x, 0.5, {x: b'x'}]\n"]
)
def test_programs_are_judged_alike_whether_results_are_kept_or_not(body):
    one = solution(body)
    with open_sandbox(workers=1) as sandbox:
        [found] = code._limited([one], sandbox, 3.0).values()
        runs = [
            Program(text, found.tests, "compare", entry_point="f") for text in (one.code, "def f(x): pass")
        ]
        assert [run.outcome for run in sandbox.run(runs)] == ["passed", "failed"]
    assert (found.tests == one.tests) == ("b'x'" not in body)


def test_a_solution_that_says_something_else_the_second_time_has_no_verdict():
    body = "    import time\n    return time.perf_counter_ns()\n"
    with open_sandbox(workers=1) as sandbox:
        [found] = code._limited([solution(body)], sandbox, 3.0).values()
    assert isinstance(found, SandboxFailed)


def test_a_solution_that_is_too_slow_is_told_so_and_not_tried_again(monkeypatch):
    monkeypatch.setattr(code, "REFERENCE_SECONDS", 0.3)
    with open_sandbox(workers=1) as sandbox:
        [found] = code._limited([solution("    while True: pass\n")], sandbox, 3.0).values()
    assert isinstance(found, TooSlow)
    assert "more than 0.3 s of CPU time" in str(found)
