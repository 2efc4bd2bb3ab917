"""Hostile programs that work through what they give the tests: names, callables, arguments, messages,
time."""

from evalsuite.sandbox import ProgramOutcome
from tests.sandbox.hostile import FORGED, Hostile

_FAILED, _ERROR, _EXITED = ProgramOutcome.FAILED, ProgramOutcome.ERROR, ProgramOutcome.EXITED
_TIMEOUT, _MEMORY, _VIOLATION = ProgramOutcome.TIMEOUT, ProgramOutcome.MEMORY, ProgramOutcome.VIOLATION
_WRONG = (_FAILED, _ERROR, _EXITED, _TIMEOUT, _MEMORY, _VIOLATION)
"""Any way but to pass, where the way is the machine's business."""

FORGERY = f"import os\nd = {FORGED!r}\nos.write(3, len(d).to_bytes(8, 'little') + d)\nos._exit(0)"
"""What would forge a verdict if the tests' process ran it."""


def _is(
    name: str, what: str, outcomes: tuple[ProgramOutcome, ...] = _WRONG, tests: str = "", **options
) -> Hostile:
    """The function under test is something of the library."""
    tests = tests or "assert attempt('1 + 1') == 'succeeded'"
    return Hostile(name, f"#\n{what}\n", outcomes, tests=tests, only_compare=True, **options)


def _lie(answer: str) -> str:
    """A program whose process answers the question for its names with `answer`, an expression."""
    return (
        "#\nimport sys\nobjects = sys.modules['evalsuite.sandbox.candidate']._Objects\nhonest = "
        "objects.answer\ndef answer(self, question):\n    if question['do'] == 'names':\n        return "
        f"{answer}\n    return honest(self, question)\nobjects.answer = answer\ndef attempt(*_):\n    return "
        "'x'\n"
    )


def _reply(value: str) -> str:
    """A program whose process answers every call with `value`, an expression of JSON."""
    return (
        "#\nimport sys\nobjects = sys.modules['evalsuite.sandbox.candidate']._Objects\nhonest = "
        "objects.answer\ndef answer(self, question):\n    if question['do'] == 'call':\n        return "
        f"{value}\n    return honest(self, question)\nobjects.answer = answer\ndef attempt(*_):\n    return "
        "'x'\n"
    )


NAMES = [
    _is(
        "is the function that ends a process",
        "import os\nattempt = os._exit",
        tests="attempt(0)\nassert False",
    ),
    _is("is the function that aborts", "import os\nattempt = os.abort", tests="attempt()\nassert False"),
    _is(
        "is the function that reads memory",
        "from ctypes import string_at as attempt",
        tests="assert attempt(1) == 2",
    ),
    _is("is exec", "attempt = exec", tests=f"assert attempt({FORGERY!r})"),
    _is("is eval", "attempt = eval", tests="assert attempt('__import__(\"os\")._exit(0)')"),
    _is("is a mock's call", "from unittest.mock import call as attempt"),
    _is("is a mock that equals everything", "from unittest.mock import ANY\ndef attempt(*_): return ANY"),
    _is("is a mock", "from unittest.mock import MagicMock\nattempt = MagicMock(return_value='x')"),
    _is("is the interpreter's exit", "import sys\nattempt = sys.exit"),
    _is("raises a signal", "from signal import raise_signal as attempt", tests="assert attempt(9)"),
    _is("is the garbage collector", "import gc\nattempt = gc.get_objects"),
    _is(
        "is an importer",
        "from importlib import import_module as attempt",
        tests="assert attempt('antigravity') == 3",
    ),
    _is(
        "is a lock without end",
        "import threading\nattempt = threading.Event().wait",
        (_TIMEOUT,),
        "attempt()",
        cpu_seconds=0.2,
    ),
    _is(
        "says it is exec",
        "def attempt(*_): return 'x'\nattempt.__module__, attempt.__name__ = 'builtins', 'exec'",
    ),
    _is("says it is a module", "class attempt:\n    __name__ = 'os'\n    __spec__ = __file__ = 'os.py'"),
    _is("says it is a dotted module", "import types\nattempt = types.ModuleType('os.path')"),
    _is(
        "is a module that can be called",
        (
            "import sys, types\nclass M(types.ModuleType):\n    def __call__(self, *_): return 'x'\n"
            "attempt = M('math')"
        ),
    ),
    Hostile(
        "says that its names are modules",
        _lie("{'value': {name: {'module': 'unittest.mock', 'name': 'ANY'} for name in question['of']}}"),
        _WRONG,
        only_compare=True,
    ),
    Hostile(
        "answers for names that nobody asked for",
        _lie("{'value': {name: True for name in ('attempt', '__builtins__', '__name__', 'AssertionError')}}"),
        _WRONG,
        only_compare=True,
    ),
    Hostile("gives no names", _lie("{'value': [1, 2]}"), (_VIOLATION,), only_compare=True),
    Hostile(
        "gives names of no type",
        _lie("{'value': {name: {'t': 'exec', 'v': '1'} for name in question['of']}}"),
        (_VIOLATION,),
        only_compare=True,
    ),
    Hostile(
        "names a module that the tests look up by text",
        "#\nantigravity = this = turtle = lambda *_: 'x'\ndef attempt(): return 'x'\n",
        (_FAILED,),
        tests="assert eval('attempt()') == 'succeeded'",
        only_compare=True,
    ),
    Hostile(
        "shadows the tests' loop",
        (
            "#\ndef sum(*_): return 0\ndef zip(*_): return []\ndef enumerate(*_): return []\ndef range(*_): "
            "return []\n"
        ),
        _WRONG,
        tests="for n, (x, y) in enumerate(zip([1], [2])):\n    assert sum([x]) == y",
        only_compare=True,
    ),
    Hostile(
        "shadows every builtin",
        (
            "#\nimport builtins\nfor name in dir(builtins):\n    if not name.startswith('_'):\n        "
            "globals()[name] = lambda *_, **__: True\ndef attempt(): return 5\n"
        ),
        _WRONG,
        tests="assert all([abs(attempt() - 4) < 1, isinstance(attempt(), str), len([attempt()]) == 2])",
    ),
]

ARGUMENTS = [
    Hostile(
        "empties its argument",
        "#\ndef attempt(items):\n    items.clear()\n    return 0\n",
        (_FAILED,),
        tests="items = [1, 2]\nresult = attempt(items[:])\nassert result == len(items)",
    ),
    Hostile(
        "puts what equals everything into its argument",
        (
            "#\nclass Liar:\n    def __eq__(self, other): return True\ndef attempt(items):\n    items[:] = "
            "[Liar(), Liar()]\n"
        ),
        (_FAILED,),
        tests="items = [2, 1]\nattempt(items)\nassert items == [1, 2]",
        only_compare=True,
    ),
    Hostile(
        "patches a helper of the tests",
        (
            "#\ndef helper(x): return x\ndef attempt(x):\n"
            "    helper.__code__ = (lambda x: 'x').__code__\n    return 'x'\n"
        ),
        (_FAILED,),
        tests="def helper(x): return x + 1\nassert attempt(helper(1)) == helper(1)",
    ),
    Hostile(
        "patches a library's function for the tests",
        "#\nimport copy, numpy\ncopy.deepcopy = lambda x: x\nnumpy.allclose = lambda *_, **__: True\n"
        "def attempt(items):\n    items.clear()\n    return [9.0]\n",
        (_FAILED,),
        tests=(
            "import copy\nimport numpy\nitems = [1.0]\n"
            "assert numpy.allclose(attempt(copy.deepcopy(items)), items) and items"
        ),
        only_compare=True,
    ),
]


def _gives(
    name: str,
    what: str,
    tests: str,
    before: str = "",
    outcomes: tuple[ProgramOutcome, ...] = (_FAILED, _ERROR),
) -> Hostile:
    return Hostile(
        name, f"#\n{before}def attempt(*_):\n    return {what}\n", outcomes, tests=tests, only_compare=True
    )


def _class(base: str, body: str) -> str:
    return f"import numpy\nclass Liar({base}):\n" + "".join(f"    {line}\n" for line in body.split("; "))


_SAME = "__eq__ = lambda self, other: True; __ne__ = lambda self, other: False; __hash__ = lambda self: 0"
_CLOSE = "import numpy\nassert numpy.allclose(attempt(), 2.5)"
ANSWERS = [
    _gives(
        "is a bool that equals everything",
        "Liar(1)",
        "assert attempt() == 4",
        _class("int", f"{_SAME}; __bool__ = lambda self: True"),
    ),
    _gives(
        "is a number of numpy that equals everything",
        "Liar(3.0)",
        "assert attempt() == 4",
        _class("numpy.float64", _SAME),
    ),
    _gives(
        "is an array that is near everything",
        "Liar([1.0])",
        _CLOSE,
        _class("list", "__array__ = lambda self, *_, **__: numpy.array(2.5)"),
    ),
    _gives(
        "is a float that subtracts to nothing",
        "Liar(1.0)",
        "assert abs(attempt() - 2.5) < 1e-9",
        _class("float", "__sub__ = __rsub__ = lambda self, other: 0.0"),
    ),
    _gives(
        "is a str that holds everything",
        "Liar('x')",
        "assert 'wanted' in attempt() and attempt().startswith('w')",
        _class("str", "__contains__ = startswith = lambda self, *_: True"),
    ),
    _gives(
        "is a tuple of any length",
        "Liar((1,))",
        "assert len(attempt()) == 2",
        _class("tuple", "__len__ = lambda self: 2"),
    ),
    _gives(
        "is a dict that has everything",
        "Liar(a=1)",
        "assert attempt()['b'] == 1 and 'b' in attempt()",
        _class("dict", "__missing__ = lambda self, key: 1; __contains__ = lambda self, key: True"),
    ),
    _gives(
        "is a set that is greater than all",
        "Liar({1})",
        "assert attempt() >= {1, 2}",
        _class("set", "__ge__ = __gt__ = lambda self, other: True"),
    ),
    _gives(
        "is a deque that equals everything",
        "Liar([1])",
        "assert list(attempt()) == [2] or attempt() == [2]",
        "from collections import deque\n" + _class("deque", _SAME),
    ),
    _gives(
        "is a counter that equals everything",
        "Liar('a')",
        "assert attempt() == {'b': 1}",
        "from collections import Counter\n" + _class("Counter", _SAME),
    ),
    _gives(
        "is a decimal that equals everything",
        "Liar(1)",
        "assert attempt() == 2",
        "from decimal import Decimal\n" + _class("Decimal", _SAME),
    ),
    _gives(
        "is a fraction that equals everything",
        "Liar(1)",
        "assert attempt() == 2",
        "from fractions import Fraction\n" + _class("Fraction", _SAME),
    ),
    _gives(
        "is a named tuple that equals everything",
        "Liar(1)",
        "assert attempt() == (2,)",
        "from collections import namedtuple\n" + _class("namedtuple('P', 'x')", _SAME),
    ),
    _gives(
        "is a named tuple of odd names",
        "Liar((1,))",
        "assert attempt() == (2,)",
        _class("tuple", "_fields = ('__eq__',)"),
        _WRONG,
    ),
    _gives(
        "is an enum that equals everything",
        "Liar.A",
        "assert attempt() == 2",
        "import enum\n"
        + _class("enum.Enum", "A = 1; __eq__ = lambda self, other: True; __hash__ = lambda self: 0"),
    ),
    _gives(
        "is a data class that equals everything",
        "Liar()",
        "assert attempt() == 2",
        "import dataclasses\n@dataclasses.dataclass(eq=False)\n"
        + _class("object", f"x: int = 1; {_SAME}").removeprefix("import numpy\n"),
    ),
    _gives(
        "is an exception that equals everything",
        "Liar()",
        "assert attempt() == 2",
        _class("ValueError", _SAME),
    ),
    _gives(
        "is an empty array",
        "numpy.array([])",
        "assert len(attempt()) == 1 and (attempt() == [2.5]).all()",
        "import numpy\n",
    ),
    _gives(
        "is an array of objects that equal everything",
        "numpy.array([Liar()], dtype=object)",
        "import numpy\nassert (attempt() == [2.5]).all()",
        _class("object", _SAME),
    ),
    _gives(
        "gives a type whose instances equal everything",
        "Liar",
        "assert attempt()() == 2",
        _class("object", _SAME),
    ),
    _gives(
        "gives an item for every index",
        "Liar()",
        "assert attempt() == [1] and list(attempt()) == [1]",
        _class("object", f"{_SAME}; __getitem__ = lambda self, n: n; __len__ = lambda self: 1"),
    ),
    _gives(
        "has a length of text",
        "Liar()",
        "assert len(attempt()) == 3",
        _class("object", "__len__ = lambda self: 'succeeded'"),
    ),
    _gives(
        "represents itself without end",
        "Liar()",
        "assert attempt() == 3, repr(attempt())",
        _class("object", "__repr__ = __str__ = lambda self: repr(self)"),
    ),
    _gives(
        "compares itself without end",
        "[Liar()]",
        "assert attempt() == attempt()",
        _class("object", "__eq__ = lambda self, other: self == other; __hash__ = lambda self: 0"),
    ),
    _gives(
        "is in itself",
        "items",
        "assert attempt() == [[[]]] or str(attempt()) == 'x'",
        "items = []\nitems.append(items)\n",
    ),
    _gives(
        "is nested without end",
        "items",
        "assert attempt() == [1]",
        "items = []\nfor _ in range(10**5):\n    items = [items]\n",
        _WRONG,
    ),
    _gives(
        "holds numbers that all hash alike",
        "{n * (2**61 - 1) for n in range(1, 20000)}",
        "assert attempt() == {1}",
        "",
        _WRONG,
    ),
    _gives("is a number of a million digits", "10 ** 10**6", "assert str(attempt()) == '1'", "", _WRONG),
    _gives(
        "is millions of empty lists", "[[] for _ in range(3 * 10**6)]", "assert attempt() == [[]]", "", _WRONG
    ),
    _gives(
        "raises an error that equals everything",
        "1 / 0",
        "try:\n    attempt()\nexcept Exception as error:\n    assert type(error) is KeyError or error == 3",
        (
            "class Liar(ZeroDivisionError):\n    def __eq__(self, other): return True\ndef raises(): raise "
            "Liar\n"
        ),
    ),
    Hostile(
        "raises the tests' own end", "raise __import__('sys').modules['builtins'].SystemExit(0)\n", (_EXITED,)
    ),
    Hostile("raises an error of a megabyte", "raise ValueError('x' * (1 << 20))\n", (_ERROR,)),
    Hostile(
        "raises what cannot be raised",
        "class Odd(BaseException):\n    args = property(lambda self: 1 / 0)\nraise Odd\n",
        _WRONG,
    ),
]


def _message(name: str, value: str) -> Hostile:
    return Hostile(name, _reply(value), _WRONG, tests="assert attempt() == 4", only_compare=True)


MESSAGES = [
    _message("answers with code", f"{{'value': {{'t': 'code', 'v': {FORGERY!r}}}}}"),
    _message(
        "answers with a pickle",
        "{'value': {'t': 'pickle', 'v': 'gASVHwAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu'}}",
    ),
    _message(
        "answers with an array of objects",
        "{'value': {'t': 'numpy', 'v': ['|O', [1], '0000000000000000', False]}}",
    ),
    _message(
        "answers with an array of fields", "{'value': {'t': 'numpy', 'v': ['f8,O', [1], '00' * 16, False]}}"
    ),
    _message(
        "answers with an array without end",
        "{'value': {'t': 'numpy', 'v': ['<f8', [1 << 62, 1 << 62], '', False]}}",
    ),
    _message("answers with a fraction of text", "{'value': {'t': 'Fraction', 'v': ['1e999999999']}}"),
    _message(
        "answers with a named tuple of code",
        "{'value': {'t': 'namedtuple', 'v': ['X', ['a=__import__(\"os\")._exit(0)'], [1]]}}",
    ),
    _message("answers with a handle of text", "{'value': {'t': 'handle', 'v': '__class__'}}"),
    _message("answers with a reference to nothing", "{'value': {'t': 'ref', 'v': 99}}"),
    _message("answers with a verdict", "{'value': {'outcome': 'passed', 'detail': ''}}"),
    _message("answers with a verdict beside the value", "{'value': 5, 'outcome': 'passed', 'started': True}"),
    _message(
        "answers with an exception of no kind", "{'raised': 'exec', 'args': ['1'], 'name': 'x', 'text': 'x'}"
    ),
    _message(
        "answers with an exception of wrong arguments",
        "{'raised': 'UnicodeDecodeError', 'args': [1], 'name': 'x', 'text': 'x'}",
    ),
    _message("answers with changes of nothing", "{'value': 4.5, 'changed': [[1], [2]]}"),
    _message("answers with keys that are lists", "{'value': {'t': 'dict', 'v': [[[1], 2]]}}"),
    _message("answers with a number beyond all", "{'value': {'t': 'long', 'v': '0x' + 'f' * (1 << 22)}}"),
    _message("answers with nothing", "{}"),
]

NAPS = [
    Hostile(
        "naps",
        "import time\nwhile True:\n    time.sleep(0.001)\n",
        (_TIMEOUT,),
        cpu_seconds=0.2,
    ),
    Hostile(
        "naps in threads",
        "import threading, time\ndef nap():\n    while True:\n        time.sleep(0.002)\n"
        "for _ in range(2):\n    threading.Thread(target=nap, daemon=True).start()\nnap()\n",
        (_TIMEOUT,),
        cpu_seconds=0.2,
    ),
    Hostile(
        "naps between forks",
        (
            "import os, time\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        "
            "time.sleep(0.01)\n"
        ),
        (_TIMEOUT,),
        cpu_seconds=0.2,
    ),
    Hostile(
        "naps for every item",
        (
            "import time\ndef items():\n    while True:\n        time.sleep(0.005)\n        yield 1\nreturn "
            "items()\n"
        ),
        (_TIMEOUT,),
        tests="for _ in attempt():\n    pass",
        cpu_seconds=0.2,
    ),
    Hostile(
        "waits for its tests",
        "import select\nselect.select([], [], [])\n",
        (_TIMEOUT, _ERROR),
        cpu_seconds=0.2,
    ),
]
