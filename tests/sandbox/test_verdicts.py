"""What tests can do with a candidate, and what is said of how it ended."""

import random
import sys
import threading
from dataclasses import replace

import pytest

from evalsuite.sandbox import Program, ProgramOutcome, SandboxFailed

MODES = ["compare", "token"]


def judged(sandbox, code, tests, mode="compare", **limits):
    (verdict,) = sandbox.run([Program(code, tests, mode=mode, **limits)])
    return verdict


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("code", "tests"),
    [
        ("def add(a, b): return a + b", "assert add(1, 2) == 3\nassert add('a', 'b') == 'ab'"),
        ("def push(to): to.append(1)", "items = []\npush(items)\nassert items == [1]"),
        (
            "def fill(to): to['k'] = [1]\ndef clear(s): s.clear()",
            "d, s = {}, {1}\nfill(d)\nclear(s)\nassert d == {'k': [1]} and s == set()",
        ),
        (
            "def deep(rows): rows[0].sort()",
            "rows = [[2, 1]]\nfirst = rows[0]\ndeep(rows)\nassert first == [1, 2]",
        ),
        ("def same(items): return items", "items = [1]\nassert same(items) is items"),
        (
            "def fail(): raise KeyError('no')",
            (
                "try:\n    fail()\nexcept KeyError as error:\n    assert error.args == ('no',)\nelse:\n    "
                "assert False"
            ),
        ),
        ("def count():\n    yield 1\n    yield 2", "assert list(count()) == [1, 2] and sum(count()) == 3"),
        ("def pairs(): return zip([1], [2])", "assert dict(pairs()) == {1: 2}"),
        (
            (
                "class Stack:\n    size = 3\n    def __init__(self): self.items = []\n    def push(self, x): "
                "self.items.append(x)\n    def __len__(self): return len(self.items)"
            ),
            (
                "stack = Stack()\nstack.push(4)\n"
                "assert stack.items == [4] and len(stack) == 1 and stack.size == 3\n"
                "assert isinstance(stack, Stack)"
            ),
        ),
        (
            (
                "class Node:\n    def __init__(self, v): self.v, self.next = v, None\ndef total(n):\n    "
                "return n.v + total(n.next) if n else 0"
            ),
            "a, b = Node(1), Node(2)\na.next = b\nassert total(a) == 3",
        ),
        (
            (
                "class Point:\n    def __init__(self, x): self.x = x\n    def __eq__(self, other): return "
                "self.x == other.x\ndef right(p): return Point(p.x + 1)"
            ),
            "assert right(Point(1)) == Point(2)\nassert right(Point(1)) != Point(5)",
        ),
        (
            "import math\nfrom math import sqrt\ndef root(x): return sqrt(x)",
            "assert math.isclose(root(2), sqrt(2))",
        ),
        (
            "from collections import Counter\ndef count(s): return Counter(s)",
            "assert count('aab') == {'a': 2, 'b': 1} and count('a').most_common() == [('a', 1)]",
        ),
        (
            "import numpy as np\ndef mean(x): return np.mean(x)",
            "import numpy as np\nassert np.allclose(mean([1, 2]), 1.5) and mean([1, 3]) == 2",
        ),
        (
            "import numpy as np\ndef eye(n): return np.eye(n)",
            "import numpy as np\nassert (eye(2) == np.eye(2)).all()",
        ),
        ("LIMIT = {'a': [1]}", "assert LIMIT == {'a': [1]}"),
        ("def big(n): return 10 ** n", "assert big(6000) == 10 ** 6000"),
        ("def sum(a, b): return a + b", "assert sum(1, 2) == 3"),
        ("def call(f, *args, **more): return f", "assert call(1, 2, x=3) == 1"),
        (
            "import hashlib\ndef h(s): return hashlib.md5(s.encode()).hexdigest()",
            "assert h('a') == '0cc175b9c0f1b6a831c399e269772661'",
        ),
        (
            "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int'\ndef make(): return P(3)",
            "assert make().x == 3 and str(make()) == 'P(x=3)'",
        ),
        (
            "import asyncio\nasync def one(): return 1\ndef run(): return asyncio.run(one())",
            "assert run() == 1",
        ),
        (
            (
                "import tempfile\ndef write():\n    with tempfile.TemporaryFile() as f:\n        return "
                "f.write(b'abc')"
            ),
            "assert write() == 3",
        ),
        (
            (
                "from concurrent.futures import ThreadPoolExecutor\ndef par():\n"
                "    with ThreadPoolExecutor(4) as p:\n        return list(p.map(abs, [-1, 2]))"
            ),
            "assert par() == [1, 2]",
        ),
        ("if __name__ == '__main__':\n    raise SystemExit\ndef f(): return 1", "assert f() == 1"),
        ("import random, statistics, sympy\ndef f(): return int(sympy.sqrt(4))", "assert f() == 2"),
        ("def f(x): return x", "def check(candidate):\n    assert candidate(3) == 3\ncheck(f)"),
        ("def double(x): return 2 * x", "assert eval('double(2)') == 4"),
        (
            "def f(n): return (n for n in range(n))",
            (
                "it = iter(f(2))\nassert next(it) == 0 and next(it) == 1\ntry:\n    next(it)\nexcept "
                "StopIteration:\n    pass\nelse:\n    assert False"
            ),
        ),
    ],
)
def test_right_answers_pass(sandbox, code, tests, mode):
    verdict = judged(sandbox, code, tests, mode)
    assert verdict.passed, verdict
    assert verdict.mode == mode
    assert 0 < verdict.cpu_seconds < 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("code", "tests", "outcome", "detail"),
    [
        ("def f(x): return x", "assert f(3) == 4", ProgramOutcome.FAILED, "AssertionError: assert f(3) == 4"),
        (
            "def f(x): return x",
            "assert f(3) == 4, 'not four'",
            ProgramOutcome.FAILED,
            "AssertionError: not four",
        ),
        ("def f(x): assert False", "f(3)", ProgramOutcome.FAILED, "AssertionError"),
        ("def f(x): return 1 / 0", "f(3)", ProgramOutcome.ERROR, "ZeroDivisionError: division by zero"),
        ("def f(x): open('/nowhere')", "f(3)", ProgramOutcome.ERROR, "'/nowhere'"),
        ("class Mine(ValueError): pass\ndef f(x): raise Mine('x')", "f(3)", ProgramOutcome.ERROR, "Mine: x"),
        ("def f(:", "f(3)", ProgramOutcome.ERROR, "SyntaxError"),
        ("import nothing_like_this", "f(3)", ProgramOutcome.ERROR, "ModuleNotFoundError"),
        ("g = 1", "f(3)", ProgramOutcome.ERROR, "NameError: name 'f' is not defined"),
        ("def f(x): raise MemoryError", "f(3)", ProgramOutcome.MEMORY, "MemoryError"),
        ("def f(x): raise SystemExit(0)", "f(3)", ProgramOutcome.EXITED, "SystemExit"),
        ("def f(x): raise ValueError('a\\nb')", "f(3)", ProgramOutcome.ERROR, "ValueError: a b"),
    ],
)
def test_wrong_answers_end_by_name(sandbox, code, tests, outcome, detail, mode):
    verdict = judged(sandbox, code, tests, mode)
    assert verdict.outcome is outcome
    assert detail in verdict.detail


def test_a_builtin_of_the_tests_is_theirs_where_another_function_is_tested(sandbox):
    code = "def sum(a): return 0\ndef f(x): return [x]"
    assert judged(sandbox, code, "assert sum(f(3)) == 3").passed


LOOP = "for x, y in zip([(1, 2)], [3]):\n    assert {name}(*x) == y\n"
HELPER = "def total(items):\n    return sum(items)\nassert total([1, 2]) == 3\nassert sum(1, 2) == 4\n"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("code", "tests", "passes"),
    [
        ("def sum(a, b): return a + b", LOOP.format(name="sum"), True),
        ("def sum(a, b): return 0", LOOP.format(name="sum"), False),
        ("def sum(a, b): return 0\ndef zip(*_): return []", LOOP.format(name="sum"), False),
        ("def sum(a, b): return 0\ndef helper(): pass\nzip = lambda *_: []", LOOP.format(name="sum"), False),
        ("def sum(a, b): return a + b + 1", HELPER, True),
        (
            "def sum(a, b): return a + b",
            "def check(candidate):\n    assert candidate(1, 2) == sum([1, 2])\ncheck(sum)",
            True,
        ),
        ("def sum(a, b): return a + b", "def check():\n    assert sum(1, 2) == 3\ncheck()", True),
    ],
)
def test_of_builtins_only_direct_calls_of_the_entry_point_are_the_candidates(
    sandbox, code, tests, passes, mode
):
    assert judged(sandbox, code, tests, mode, entry_point="sum").passed is passes


def test_without_an_entry_point_a_candidate_that_shadows_two_builtins_gets_none(sandbox):
    code = "def sum(a, b): return 0\ndef zip(*_): return []"
    assert judged(sandbox, code, LOOP.format(name="sum")).outcome is ProgramOutcome.ERROR


def test_whatever_of_the_library_a_program_says_its_function_is_there_is_a_verdict_and_it_is_wrong(sandbox):
    rng = random.Random(13)
    left_out = {"antigravity", "this", "idlelib", "turtle", "turtledemo", "tkinter"}
    modules = sorted(name for name in sys.stdlib_module_names - left_out if not name.startswith("_"))
    programs = []
    for module in rng.sample(modules, 60):
        pick = (
            "names = [n for n in dir(module) if callable(getattr(module, n))] or ['__doc__']\n"
            f"attempt = getattr(module, names[{rng.randrange(999)} % len(names)])"
        )
        programs.append(Program(f"import {module} as module\n{pick}", "assert attempt(1) == 'succeeded'"))
        lie = f"def attempt(*_): return 'x'\nattempt.__module__, attempt.__name__ = {module!r}, {pick!r}"
        programs.append(Program(lie, "assert attempt(1) == 'succeeded'"))
    programs = [replace(program, cpu_seconds=0.5) for program in programs]
    verdicts = sandbox.run(programs)
    assert [one for one in verdicts if isinstance(one, SandboxFailed) or one.passed] == []


def test_types_of_the_library_that_the_tests_do_not_import_are_asked_for(sandbox):
    code = "from collections import Counter, OrderedDict\nfrom math import sqrt\ndef f(s): return Counter(s)"
    tests = (
        "assert f('aab') == Counter('aab') and isinstance(f('a'), Counter) and sqrt(4) == 2\n"
        "assert OrderedDict(a=1) == {'a': 1}"
    )
    assert judged(sandbox, code, tests).passed


def test_tests_that_end_by_what_the_program_answers_are_wrong(sandbox):
    code = "def f(): return [[] for _ in range(10 ** 5)]"
    verdict = judged(sandbox, code, "kept = [f() for _ in range(99)]", memory_mb=64, cpu_seconds=60.0)
    assert verdict.outcome is ProgramOutcome.MEMORY


def test_a_name_that_the_tests_define_is_theirs(sandbox):
    code = "def helper(x): return 'wrong'\ndef f(x): return x"
    assert judged(sandbox, code, "def helper(x): return 'right'\nassert f(helper(1)) == 'right'").passed


@pytest.mark.parametrize(
    "tests",
    [
        "assert apply(lambda x: x + 1, 2) == 3",
        (
            "import io, contextlib\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n    "
            "apply(print, 5)\nassert out.getvalue() == '5\\n'"
        ),
    ],
)
def test_tests_that_cannot_leave_the_candidates_process_are_judged_in_it(sandbox, tests):
    right, wrong = "def apply(f, x): return f(x)", "def apply(f, x): return f(x + 1)"
    passed, failed = judged(sandbox, right, tests, "auto"), judged(sandbox, wrong, tests, "auto")
    assert passed.mode == failed.mode == "token"
    assert passed.passed
    assert failed.outcome is ProgramOutcome.FAILED
    assert isinstance(judged(sandbox, right, tests, "compare"), SandboxFailed)


def test_a_candidate_cannot_choose_to_share_a_process_with_its_tests(sandbox):
    """An object that equals everything fails, whatever the candidate says that its names are."""
    liar = "class Liar:\n    def __eq__(self, other): return True\ndef f(*_): return Liar()\n"
    tests = "assert f(Kind) == 4"
    for kind in (
        "import math as Kind",
        "from collections import OrderedDict as Kind",
        "Kind = Liar",
        "Kind = object()",
    ):
        verdict = judged(sandbox, liar + kind, tests, "auto")
        assert verdict.mode == "compare"
        assert not verdict.passed


@pytest.mark.parametrize("mode", ["auto", *MODES])
def test_tests_that_do_not_compile_are_no_verdict(sandbox, mode):
    failure = judged(sandbox, "def f(): return 1", "assert f( == 1", mode)
    assert isinstance(failure, SandboxFailed)
    assert "do not compile" in str(failure)


def test_verdicts_come_in_the_programs_order_and_are_counted(sandbox):
    seen = []
    programs = [Program("def f(x): return x", f"assert f({number}) == {number % 3}") for number in range(9)]
    verdicts = sandbox.run(programs, seen.append)
    assert [verdict.passed for verdict in verdicts] == [number < 3 for number in range(9)]
    assert seen == list(range(1, 10))


def test_it_runs_in_a_thread(sandbox):
    told = []
    thread = threading.Thread(target=lambda: told.extend(sandbox.run([Program("x = 1", "assert x == 1")])))
    thread.start()
    thread.join()
    assert told[0].passed


def test_no_programs_have_no_verdicts(sandbox):
    assert sandbox.run([]) == []


def test_sets_have_the_same_order_in_every_process(sandbox):
    code = "def order(): return list({str(n) for n in range(50)})"
    details = {judged(sandbox, code, "assert order() == 0, str(order())", mode).detail for mode in MODES}
    assert len(details) == 1


def test_tests_that_draw_their_inputs_draw_the_same_every_time(sandbox):
    tests = "import random\nassert f() == random.random(), random.random()"
    details = {judged(sandbox, "def f(): return 2", tests, mode).detail for mode in MODES for _ in range(2)}
    assert len(details) == 1


def test_tests_that_end_before_the_candidate_is_confined_are_no_failure(sandbox):
    tests = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n    assert f() == 1"
    verdicts = sandbox.run([Program("def f(): return 1", tests)] * 200)
    assert {(verdict.passed, verdict.mode) for verdict in verdicts} == {(True, "token")}
