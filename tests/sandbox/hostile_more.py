"""More hostile programs: what burns time and memory, what ends early, what lies."""

from evalsuite.sandbox import ProgramOutcome
from tests.sandbox.hostile import Hostile

_FAILED, _ERROR, _EXITED = ProgramOutcome.FAILED, ProgramOutcome.ERROR, ProgramOutcome.EXITED
_TIMEOUT, _MEMORY, _VIOLATION = ProgramOutcome.TIMEOUT, ProgramOutcome.MEMORY, ProgramOutcome.VIOLATION

RESOURCES = [
    Hostile("loops", "while True:\n    pass\n", (_TIMEOUT,), cpu_seconds=0.3),
    Hostile("loops while it is defined", "#\nwhile True:\n    pass\n", (_TIMEOUT,), cpu_seconds=0.3),
    Hostile(
        "loops in a regular expression",
        "import re\nre.match('(a+)+$', 'a' * 64 + 'b')\n",
        (_TIMEOUT,),
        cpu_seconds=0.3,
    ),
    Hostile("loops in a power", "return 7 ** (7 ** 9) % 3\n", (_TIMEOUT,), cpu_seconds=0.3),
    Hostile("loops in a sum", "return sum(range(1 << 40))\n", (_TIMEOUT,), cpu_seconds=0.3),
    Hostile(
        "loops in a product",
        "import itertools\nreturn sum(1 for _ in itertools.product(*['ab'] * 60))\n",
        (_TIMEOUT,),
        cpu_seconds=0.3,
    ),
    Hostile(
        "ignores every signal",
        "import signal\nfor number in range(1, 65):\n    try:\n        signal.signal(number, "
        "signal.SIG_IGN)\n    except (OSError, ValueError):\n        pass\nwhile True:\n    pass\n",
        (_TIMEOUT,),
        cpu_seconds=0.3,
    ),
    Hostile(
        "loops in threads",
        "import threading\ndef spin():\n    while True:\n        pass\n"
        "for _ in range(4):\n    threading.Thread(target=spin).start()\nspin()\n",
        (_TIMEOUT,),
        cpu_seconds=0.3,
    ),
    Hostile("sleeps", "import time\ntime.sleep(3600)\nreturn 'succeeded'\n", (_TIMEOUT,), cpu_seconds=0.1),
    Hostile(
        "waits for a lock",
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()\n",
        (_TIMEOUT,),
        cpu_seconds=0.1,
    ),
    Hostile(
        "grows a list",
        "whole = []\nwhile True:\n    whole.append(bytearray(1 << 20))\n",
        (_MEMORY,),
        cpu_seconds=5.0,
    ),
    Hostile("allocates at once", "return len(bytearray(1 << 40))\n", (_MEMORY,), cpu_seconds=5.0),
    Hostile(
        "maps shared memory",
        "import mmap\nheld = []\nwhile True:\n    held.append(mmap.mmap(-1, 1 << 26))\n",
        (_ERROR, _MEMORY),
    ),
    Hostile("returns too much", "return 'x' * (100 << 20)\n", (_ERROR, _MEMORY), only_compare=True),
    Hostile(
        "floods the output",
        (
            "import os, sys\nfor _ in range(200):\n    print('x' * (1 << 20))\n    os.write(2, bytes(1 << "
            "20))\nreturn 'flooded'\n"
        ),
        (_FAILED,),
        cpu_seconds=3.0,
    ),
    Hostile("recurses", "def down(n):\n    return down(n + 1)\nreturn down(0)\n", (_ERROR,)),
    Hostile(
        "recurses without a limit",
        "import sys\nsys.setrecursionlimit(1 << 30)\ndef down(n):\n    return down(n + 1)\nreturn down(0)\n",
        (_MEMORY, _ERROR, _TIMEOUT),
        cpu_seconds=1.0,
    ),
    Hostile(
        "recurses in C",
        (
            "import sys\nsys.setrecursionlimit(1 << 30)\nwhole = []\nfor _ in range(10**6):\n    whole = "
            "[whole]\nrepr(whole)\n"
        ),
        (_ERROR, _MEMORY, _TIMEOUT),
        cpu_seconds=1.0,
    ),
    Hostile(
        "returns what is endless",
        "def forever():\n    while True:\n        yield 1\nreturn forever()\n",
        (_TIMEOUT, _FAILED, _MEMORY),
        tests="assert sum(attempt()) == 'succeeded'",
        cpu_seconds=0.5,
    ),
    Hostile("crashes the interpreter", "import ctypes\nctypes.string_at(0)\n", (_ERROR,)),
]

EARLY_ENDS = [
    Hostile("exits", "import sys\nsys.exit(0)\n", (_EXITED,)),
    Hostile("exits at once", "import os\nos._exit(0)\n", (_EXITED,)),
    Hostile("exits as it is defined", "#\nimport os\nos._exit(0)\n", (_EXITED,)),
    Hostile("exits by exception as it is defined", "#\nraise SystemExit(0)\n", (_EXITED,)),
    Hostile("exits with the builtin", "exit(0)\n", (_EXITED,)),
    Hostile(
        "kills itself",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\nwhile True:\n    pass\n",
        (_MEMORY, _TIMEOUT, _EXITED),
        cpu_seconds=0.3,
    ),
    Hostile("aborts", "import os\nos.abort()\n", (_ERROR,)),
    Hostile(
        "exits in a thread",
        "import os, threading, time\nthreading.Thread(target=os._exit, args=(0,)).start()\ntime.sleep(5)\n",
        (_EXITED,),
    ),
    Hostile(
        "exits at the end",
        "#\nimport atexit, os\natexit.register(os._exit, 0)\ndef attempt():\n    return 'x'\n",
        (_FAILED,),
    ),
    Hostile(
        "exits by an exception hook",
        "#\nimport os, sys\nsys.excepthook = lambda *_: os._exit(0)\ndef attempt():\n    return 'x'\n",
        (_FAILED,),
    ),
    Hostile(
        "exits when it is forgotten",
        (
            "#\nimport os\nclass Last:\n    def __del__(self):\n        os._exit(0)\nlast = Last()\ndef "
            "attempt():\n    return 'x'\n"
        ),
        (_FAILED,),
    ),
    Hostile("interrupts", "raise KeyboardInterrupt\n", (_ERROR,)),
    Hostile("ends a generator", "raise GeneratorExit\n", (_ERROR,)),
    Hostile(
        "ends by an alarm",
        "import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\ntime.sleep(0.3)\nreturn 'x'\n",
        (_ERROR, _FAILED),
    ),
    Hostile("does not define anything", "#\n", (_ERROR,)),
    Hostile("is no Python", "#\ndef attempt(:\n", (_ERROR,)),
    Hostile("holds a null byte", "#\nattempt = '\0'\n", (_ERROR,)),
]


def _liar(base: str, value: str, extra: str = "") -> str:
    return (
        f"#\nclass Liar({base}):\n    def __eq__(self, other): return True\n    def __ne__(self, other): "
        f"return False\n    def __hash__(self): return 0\n{extra}def attempt(*_):\n    return {value}\n"
    )


LIES = [
    Hostile("equals everything", _liar("object", "Liar()"), (_FAILED,), only_compare=True),
    Hostile(
        "is an int that equals everything",
        _liar("int", "Liar(3)"),
        (_FAILED,),
        tests="assert attempt() == 4",
        only_compare=True,
    ),
    Hostile("is a str that equals everything", _liar("str", "Liar('x')"), (_FAILED,), only_compare=True),
    Hostile(
        "is a float that equals everything",
        _liar("float", "Liar(1.0)", "    def __sub__(self, other): return 0.0\n    __rsub__ = __sub__\n"),
        (_FAILED,),
        tests="assert abs(attempt() - 2.5) < 1e-6",
        only_compare=True,
    ),
    Hostile(
        "is a list that equals everything",
        _liar("list", "Liar([1])"),
        (_FAILED,),
        tests="assert attempt() == [2]",
        only_compare=True,
    ),
    Hostile(
        "is a tuple that equals everything",
        _liar("tuple", "Liar((1,))"),
        (_FAILED,),
        tests="assert attempt() == (2,)",
        only_compare=True,
    ),
    Hostile(
        "is a dict that equals everything",
        _liar("dict", "Liar(a=1)"),
        (_FAILED,),
        tests="assert attempt() == {'a': 2}",
        only_compare=True,
    ),
    Hostile(
        "hides what equals everything in a list",
        _liar("object", "[Liar(), (Liar(),)]"),
        (_FAILED,),
        tests="assert attempt() == [1, (2,)]",
        only_compare=True,
    ),
    Hostile(
        "hides what equals everything in a set",
        _liar("object", "{Liar()}"),
        (_FAILED,),
        tests="assert attempt() == {1}",
        only_compare=True,
    ),
    Hostile(
        "is smaller and greater than everything",
        _liar(
            "object",
            "Liar()",
            "    def __lt__(self, other): return True\n    __le__ = __gt__ = __ge__ = __lt__\n",
        ),
        (_ERROR,),
        tests="assert 3 < attempt() < 1",
        only_compare=True,
    ),
    Hostile(
        "does any arithmetic",
        _liar(
            "object",
            "Liar()",
            "    def __sub__(self, other): return 0.0\n    __rsub__ = __add__ = __mul__ = __sub__\n"
            "    def __abs__(self): return 0.0\n",
        ),
        (_ERROR,),
        tests="assert abs(attempt() - 1.5) < 1e-9",
        only_compare=True,
    ),
    Hostile(
        "contains everything",
        _liar(
            "object",
            "Liar()",
            "    def __contains__(self, item): return True\n    def __iter__(self): return iter([])\n",
        ),
        (_FAILED,),
        tests="assert 3 in attempt()",
        only_compare=True,
    ),
    Hostile(
        "pretends to be an array",
        _liar(
            "object",
            "Liar()",
            "    def __array__(self, *_, **__):\n        import numpy\n        return numpy.array([1.0])\n "
            "   __array_interface__ = {'data': (1 << 20, True), 'shape': (1,), 'typestr': '<f8', "
            "'version': 3}\n",
        ),
        (_ERROR, _FAILED),
        tests="import numpy as np\nassert np.allclose(attempt(), [1.0])",
        only_compare=True,
    ),
    Hostile(
        "is an array that equals everything",
        "#\nimport numpy as np\nclass Liar(np.ndarray):\n    def __eq__(self, other): return np.array(True)\n"
        "def attempt():\n    return np.array([1.0]).view(Liar)\n",
        (_FAILED, _ERROR),
        tests="assert (attempt() == [2.0]).all()",
        only_compare=True,
    ),
    Hostile(
        "has a type that equals every type",
        "#\nclass Meta(type):\n    def __eq__(self, other): return True\n    def __hash__(self): return "
        "0\n    def __instancecheck__(self, other): return True\nclass Liar(metaclass=Meta):\n    "
        "pass\ndef attempt():\n    return Liar()\n",
        (_FAILED,),
        tests="assert type(attempt()) is int and attempt() == 3",
        only_compare=True,
    ),
    Hostile(
        "says it is another class",
        (
            "#\nclass Liar:\n    __class__ = int\n    def __eq__(self, other): return True\n"
            "def attempt():\n    return Liar()\n"
        ),
        (_FAILED,),
        tests="assert isinstance(attempt(), int) and attempt() == 3",
        only_compare=True,
    ),
    Hostile(
        "patches builtins",
        "#\nimport builtins\nbuiltins.all = builtins.any = builtins.isinstance = lambda *_: "
        "True\nbuiltins.abs = builtins.len = lambda _: 0\nbuiltins.AssertionError = type('Nothing', "
        "(BaseException,), {})\ndef attempt():\n    return 5\n",
        # It may break its own process before an assertion does.
        (_FAILED, _ERROR, _TIMEOUT, _EXITED),
        tests="assert all([attempt() == 4]) and abs(attempt() - 4) == 0",
    ),
    Hostile(
        "shadows what the tests call",
        "#\ndef abs(_): return 0\ndef all(_): return True\ndef len(_): return 0\ndef attempt(): return 5\n",
        (_FAILED,),
        tests="assert all([abs(attempt() - 4) < 1])",
        only_compare=True,
    ),
    Hostile(
        "replaces a module that the tests use",
        (
            "#\nclass math:\n    fabs = staticmethod(lambda _: 0)\n    isclose = staticmethod(lambda *_: "
            "True)\ndef attempt(): return 5\n"
        ),
        (_FAILED,),
        tests="assert math.isclose(attempt(), 4) and math.fabs(attempt() - 4) < 1",
        only_compare=True,
    ),
    Hostile(
        "poisons modules",
        "#\nimport sys, types\nfake = types.ModuleType('numpy')\nfake.allclose = lambda *_, **__: "
        "True\nsys.modules['numpy'] = fake\nsys.modules['math'].isclose = lambda *_: True\ndef attempt(): "
        "return [1.0]\n",
        (_FAILED,),
        tests=(
            "import math\nimport numpy as np\n"
            "assert np.allclose(attempt(), [2.0]) and math.isclose(attempt()[0], 2)"
        ),
        only_compare=True,
    ),
    Hostile(
        "patches the harness",
        "#\nimport sys\nfor name, module in list(sys.modules.items()):\n    if "
        "name.startswith('evalsuite'):\n        for key, value in list(vars(module).items()):\n            "
        "if callable(value) and key in ('report', 'one_line', 'ended', '_compiled'):\n                "
        "setattr(module, key, lambda *_, **__: {'outcome': 'passed', 'detail': ''})\ndef attempt(): "
        "return 'x'\n",
        (_FAILED, _VIOLATION),
    ),
    Hostile(
        "speaks for its process",
        "#\nimport json, socket\ntry:\n    judge = socket.socket(fileno=4)\nexcept OSError:\n    raise "
        "SystemExit\ndef send(message):\n    data = json.dumps(message).encode()\n    "
        "judge.sendall(len(data).to_bytes(8, 'little') + data)\ndef receive():\n    return "
        "json.loads(judge.recv(int.from_bytes(judge.recv(8), 'little')))\nsend({'value': "
        "None})\nreceive()\nhandle = {'value': {'t': 'handle', 'v': 0}}\nnames = ['attempt', 'all', "
        "'abs', '__builtins__', '__name__', 'AssertionError']\nsend({'value': {name: handle for name in "
        "names}})\nwhile True:\n    receive()\n    send({'value': True})\n",
        (_FAILED, _VIOLATION, _EXITED),
        tests="assert all([attempt() == 4, abs(attempt() - 4) < 1])",
    ),
    Hostile(
        "walks frames",
        "#\nimport sys\ndef attempt():\n    frame, found = sys._getframe(), []\n    while frame:\n        "
        "found += [str(frame.f_locals), str(frame.f_code.co_consts)]\n        frame = frame.f_back\n    "
        "wanted = ' '.join(['the', 'answer'])\n    return wanted if wanted in ' '.join(found) else 'x'\n",
        (_FAILED,),
        tests="assert attempt() == 'the answer'",
        only_compare=True,
    ),
    Hostile(
        "walks the heap",
        "#\nimport gc\ndef attempt():\n    for thing in gc.get_objects():\n        try:\n            text "
        "= str(thing)\n        except Exception:\n            continue\n        wanted = ' "
        "'.join(['wanted', 'answer'])\n        if wanted in text:\n            return wanted\n    return "
        "'x'\n",
        (_FAILED, _TIMEOUT, _MEMORY),
        tests="assert attempt() == 'wanted answer'",
        only_compare=True,
        cpu_seconds=5.0,
    ),
    Hostile(
        "looks for a token before its tests",
        "#\nimport gc, os, sys\nfound = [str(thing) for thing in gc.get_objects() if isinstance(thing, "
        "dict) and 'token' in thing]\nframe = sys._getframe()\nwhile frame:\n    token = "
        "frame.f_locals.get('token')\n    if token:\n        os.write(4, b'')\n        "
        "found.append(token)\n    frame = frame.f_back\ndef attempt(): return 'succeeded' if any(len(each) "
        ">= 32 for each in found if '{' not in each) else 'x'\n",
        (_FAILED,),
    ),
    Hostile(
        "finds secrets in the environment",
        "import os\nreturn 'succeeded' if any('SECRET' in name for name in os.environ) else 'x'\n",
        (_FAILED,),
    ),
    Hostile(
        "swaps the code of a function",
        "#\ndef attempt(): return 'x'\ndef other(): return 'y'\nattempt.__code__ = other.__code__\n",
        (_FAILED,),
    ),
    Hostile(
        "traces the tests",
        (
            "#\nimport sys\nsys.settrace(lambda *_: None)\nsys.setprofile(lambda *_: None)\ndef attempt(): "
            "return 'x'\n"
        ),
        (_FAILED,),
    ),
    Hostile(
        "raises what looks like success",
        (
            "#\nclass Passed(BaseException):\n    def __str__(self): return 'passed'\ndef attempt(): raise "
            "Passed\n"
        ),
        (_ERROR,),
    ),
    Hostile(
        "raises an error without a text",
        (
            "#\nclass Mute(Exception):\n    def __str__(self): raise ValueError\n    __repr__ = __str__\ndef "
            "attempt(): raise Mute\n"
        ),
        (_ERROR,),
    ),
    Hostile(
        "changes what it was given",
        "#\ndef attempt(expected):\n    expected[:] = ['x']\n    return ['x']\n",
        (_FAILED,),
        tests="expected = [1]\nassert attempt(expected[:]) == expected",
    ),
    Hostile(
        "leaves threads that change things",
        "#\nimport threading, time\nvalue = ['x']\ndef later():\n    while True:\n        value[0] = "
        "'succeeded'\n        time.sleep(0.01)\nthreading.Thread(target=later, daemon=True).start()\ndef "
        "attempt():\n    return 'x'\n",
        (_FAILED,),
    ),
    Hostile(
        "keeps secrets for the next",
        "#\nimport builtins, sys\nbuiltins.kept = sys.kept = 'succeeded'\ndef attempt(): return 'x'\n",
        (_FAILED,),
    ),
    Hostile(
        "takes up what the last one kept",
        "import builtins, os\nopen('kept', 'x').close()\nreturn getattr(builtins, 'kept', 'x')\n",
        (_FAILED,),
    ),
    Hostile(
        "takes up the file of the last one",
        "import os\nreturn 'succeeded' if os.listdir('.') else 'x'\n",
        (_FAILED,),
    ),
]
