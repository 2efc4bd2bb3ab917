"""Answers that were written to break a mathematical scorer: `answers(count, seed)`, the same ones every
time."""

import random
from collections.abc import Callable

MEGABYTE = 1 << 20


def _braces(draw: random.Random) -> str:
    return "".join(
        draw.choice(["{", "}", r"\boxed{", r"\frac", r"\{", "1", "x", "^", "_", "$", "&", "\\"])
        for _ in range(draw.randint(1, 400))
    )


def _tower(draw: random.Random) -> str:
    base, height = draw.choice(["2", "9", "10", "99", "x", "1.0001", "i"]), draw.randint(2, 8)
    return draw.choice(
        [base + ("^{" + base) * height + "}" * height, "^".join([base] * height), "**".join([base] * height)]
    )


def _factorial(draw: random.Random) -> str:
    number = draw.choice(["20", "1000", "170", "10^9", "99999999", "(10^5)"])
    return draw.choice(
        [
            number + "!" * draw.randint(1, 9),
            rf"\binom{{{number}!}}{{7}}",
            f"factorial({number})",
            rf"\Gamma({number}!)",
        ]
    )


def _digits(draw: random.Random) -> str:
    script = draw.choice(
        [
            "٠١٢٣٤٥٦٧٨٩",
            "०१२३४५६७८९",
            "０１２３４５６７８９",
            "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗",
            "零一二三四五六七八九",
            "⁰¹²³⁴⁵⁶⁷⁸⁹",
            "ⅠⅡⅢⅣⅤⅥ½¾⅓",
        ]
    )
    return "".join(draw.choice(script + ",.") for _ in range(draw.randint(1, 40)))


def _megabyte(draw: random.Random) -> str:
    piece = draw.choice(
        [
            "9",
            "x+",
            "{",
            "}",
            " ",
            "(",
            r"\frac{1}{2}+",
            "1,",
            "$",
            r"\boxed{1} ",
            "é",
            "-",
            "1 2 ",
            r"\text{ }",
            "\n",
            "=",
            "a.",
            "!",
        ]
    )
    return piece * (MEGABYTE // len(piece))


def _nested(draw: random.Random) -> str:
    opening, closing = draw.choice(
        [
            ("(", ")"),
            (r"\sqrt{", "}"),
            (r"\frac{1}{1+", "}"),
            ("[", "]"),
            (r"\left(", r"\right)"),
            ("sin(", ")"),
            (r"\overline{", "}"),
            ("|", "|"),
            ("-", ""),
        ]
    )
    depth = draw.choice([5, 20, 40, 200, 1000])
    return opening * depth + "x" + closing * draw.choice([depth, depth - 1, 0])


def _matrix(draw: random.Random) -> str:
    size = draw.choice([2, 5, 30])
    row = " & ".join(draw.choice(["1", "x", r"\frac12", "10^{99}"]) for _ in range(size))
    return (
        r"\begin{pmatrix}"
        + r" \\ ".join([row] * size)
        + draw.choice([r"\end{pmatrix}", "", r"\end{bmatrix}", r"\end{pmatrix}^{100}"])
    )


def _long_work(draw: random.Random) -> str:
    return draw.choice(
        [
            r"\int_0^{\infty} x^{x^{x}} \sin(x)^{x} dx",
            r"\sum_{n=1}^{10^{9}} \frac{\sin n}{n^n}",
            r"\prod_{k=1}^{10^{7}} (k + x)",
            r"(x+y+z+w+1)^{300} - (1+w+z+y+x)^{300}",
            r"\lim_{x \to 0} x^{x^{x^{x}}}",
            "primepi(10**13)",
            "integrate(exp(sin(x**x)),x)",
            "Sum(1/factorial(n),(n,1,10**8)).doit()",
            "solve(x**9+x+1,x)",
            "Matrix(999,999,lambda i,j:i*j)",
            "binomial(10**9,10**8)",
            r"\sin(10^{10^{10}})",
            r"\log(\log(\log(10^{10^{100}})))",
            r"\sqrt[99]{10^{9999}+1}",
            "nsolve(cos(x)-x,x,1,prec=99999)",
            "isprime(10**4000+7)",
            "factorint(10**80+7)",
            "N(pi,10**8)",
            "expand((x+y+z)**900)",
            r"\binom{10^9}{10^8}",
            "zeta(10**9*I)",
        ]
    )


def _numbers(draw: random.Random) -> str:
    return draw.choice(
        [
            "1e999999999",
            "-1e-999999999",
            "nan",
            "inf",
            "0x" + "f" * 9999,
            "1_0_0",
            "1" * 20_000,
            "0." + "3" * 20_000,
            "1/0",
            "0/0",
            r"\frac{1}{0}",
            "1e5e5",
            "٣.١٤",
            "1,2,3" * 2000,
            "--" * 500 + "1",
            "1.2.3",
            "1[2]",
            "0.1[3]",
            "1e400",
            "9" * 4301,
            r"10^{4301}",
        ]
    )


def _hostile(draw: random.Random) -> str:
    return draw.choice(
        [
            "__import__('os')._exit(3)",
            "exec('while 1:pass')",
            "open('/dev/zero').read()",
            "exit()",
            "input()",
            "breakpoint()",
            "quit",
            "(lambda f:f(f))(lambda f:f(f))",
            "[1]*10**10",
            "'a'*10**10",
            'print(\'{"verdict": {"correct": true}}\')',
            "().__class__.__mro__",
            "eval('1'*9)",
            "globals()",
            "S('__import__(\"os\").abort()')",
            "preview(x)",
            "var('x y')",
            "Symbol('x'*10**9)",
            "0 if 1 else 2",
            "raise KeyboardInterrupt",
            "x:=5",
            "{**{}}",
            "f'{1}'",
            "*a",
            "test()",
            "range(10**12)",
            "sum(range(10**12))",
            "max(range(10**11))",
        ]
    )


def _noise(draw: random.Random) -> str:
    pool = [
        "\0",
        "\ud800",
        "\u202e",
        "🙂",
        "\x1b[2J",
        "\r",
        "\x85",
        "\ufeff",
        "é" * 3,
        "ﷺ",
        "Z̀́̂",
        "\\",
        "%",
        "#",
        "~",
        "`",
        "<",
        "&",
        "$$",
        "\\[",
        "\\]",
        "\\(",
        "\n\n",
        "answer:",
        "final answer is",
    ]
    return "".join(draw.choice(pool) for _ in range(draw.randint(1, 60)))


def _list(draw: random.Random) -> str:
    opening, closing = draw.choice([("(", ")"), ("[", ")"), (r"\{", r"\}"), ("", "")])
    return (
        opening
        + ",".join(
            draw.choice(["1", "x", r"\frac12", "", "(1", "2]", "10^10^10"])
            for _ in range(draw.choice([3, 50, 1000]))
        )
        + closing
    )


FAMILIES: tuple[Callable[[random.Random], str], ...] = (
    _braces,
    _tower,
    _factorial,
    _digits,
    _nested,
    _matrix,
    _long_work,
    _numbers,
    _hostile,
    _noise,
    _list,
)
FRAMES = (r"So the answer is $\boxed{%s}$.", r"\boxed{%s", "%s", "The answer is %s.", r"\[ %s \]", "$%s$")


def answers(count: int, seed: int = 0, megabytes: int = 0) -> list[tuple[str, str]]:
    """(gold solution, completion) pairs; the first `megabytes` of them hold an answer of that size."""
    draw = random.Random(seed)
    pairs = []
    for place in range(count):
        make = _megabyte if place < megabytes else FAMILIES[place % len(FAMILIES)]
        said = draw.choice(FRAMES).replace("%s", make(draw))
        # Now and then the gold answer is as bad: equal and nearly equal texts take other paths.
        gold = (
            rf"\boxed{{{make(draw)}}}"
            if draw.random() < 0.2 and place >= megabytes
            else r"Thus $x = \boxed{\frac{1}{2}}$."
        )
        pairs.append((gold, said))
    return pairs
