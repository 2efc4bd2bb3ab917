r"""Reads LaTeX expressions in mathematical answers into sympy, with exact numbers.

evalsuite has its own small grammar in place of latex2sympy's: it keeps decimals exact, never drops a
subscript, and raises Unreadable for anything unknown. Powers and factorials that are too large are refused
before they are computed.
"""

import re
from typing import Any

import sympy

LARGEST_BITS = 20_000
"""Size of an integer power."""
LARGEST_FACTORIAL = 3_000
_DEEPEST = 40


class Unreadable(ValueError):
    """Text that is not an expression of this grammar."""


_TOKEN = re.compile(r"\s*(\d*\.\d+|\d+\.?|\\[A-Za-z]+|\\.|[A-Za-z]|[-+*/^_!|(){}\[\]]|\S)")
_FUNCTIONS = {
    rf"\{name}": getattr(sympy, name)
    for name in (
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "sinh",
        "cosh",
        "tanh",
        "exp",
        "arg",
        "gcd",
        "max",
        "min",
    )
    if name not in ("gcd", "max", "min")
} | {
    r"\arcsin": sympy.asin,
    r"\arccos": sympy.acos,
    r"\arctan": sympy.atan,
    r"\ln": sympy.log,
}
_CONSTANTS = {r"\pi": sympy.pi, r"\infty": sympy.oo, "i": sympy.I, "e": sympy.E, "π": sympy.pi, "∞": sympy.oo}
_GREEK = frozenset(
    rf"\{name}"
    for name in (
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "theta",
        "lambda",
        "mu",
        "phi",
        "rho",
        "sigma",
        "omega",
    )
) | {r"\ell", r"\varphi", r"\Delta"}
_CLOSING = {"(": ")", "[": "]", "{": "}", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}
_STARTS = re.compile(r"\d|\.\d|\\[A-Za-z]|[A-Za-zπ∞({\[]")


def expression(text: str) -> Any:
    """The sympy expression of `text`; raises Unreadable."""
    return _Reader(text).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._place = 0
        self._depth = 0

    def whole(self) -> Any:
        if not self._tokens:
            raise Unreadable("nothing")
        value = self._sum()
        if self._place < len(self._tokens):
            raise Unreadable(self._tokens[self._place])
        return value

    def _next(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._next()
        if not token:
            raise Unreadable("it breaks off")
        self._place += 1
        return token

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise Unreadable(f"no {token}")

    def _sum(self) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Unreadable("too many brackets")
        value = self._product()
        while self._next() in ("+", "-"):
            sign = self._take()
            other = self._product()
            value = value + other if sign == "+" else value - other
        self._depth -= 1
        return value

    def _product(self) -> Any:
        value = self._signed()
        while True:
            token = self._next()
            if token in ("*", r"\cdot", r"\times", r"\ast"):
                self._take()
                value = value * self._signed()
            elif token in ("/", r"\div"):
                self._take()
                value = _divided(value, self._signed())
            elif self._begins_factor(token):
                value = value * self._power()
            else:
                return value

    def _begins_factor(self, token: str) -> bool:
        if token in (r"\rfloor", r"\rceil", r"\cdot", r"\times", r"\div"):
            return False
        return bool(token) and bool(_STARTS.match(token)) and not self._digits_after_digits(token)

    def _digits_after_digits(self, token: str) -> bool:
        """False, or Unreadable for two numbers side by side, since "3 5" is not a product."""
        if token[0].isdigit() and self._place and self._tokens[self._place - 1][-1].isdigit():
            raise Unreadable("two numbers side by side")
        return False

    def _signed(self) -> Any:
        if self._next() in ("-", "+"):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise Unreadable("too many signs")
            sign = self._take()
            value = self._signed()
            self._depth -= 1
            return -value if sign == "-" else value
        return self._power()

    def _power(self) -> Any:
        value = self._factorial(self._atom())
        if self._next() == "^":
            self._take()
            value = _raised(value, self._argument())
            value = self._factorial(value)
        return value

    def _factorial(self, value: Any) -> Any:
        while self._next() == "!":
            self._take()
            if not (value.is_Integer and 0 <= value <= LARGEST_FACTORIAL):
                raise Unreadable("a factorial that is too large")
            value = sympy.factorial(value)
        return value

    def _argument(self) -> Any:
        r"""The argument of a command or `^`: a group, or a single digit, letter or command."""
        token = self._next()
        if token and token[0].isdigit() and len(token) > 1:  # \frac12 is 1/2
            self._tokens[self._place : self._place + 1] = list(token)
            return sympy.Integer(self._take())
        if token in ("-", "+"):
            return self._signed()
        return self._atom()

    def _atom(self) -> Any:
        token = self._take()
        if token[0].isdigit() or (token[0] == "." and len(token) > 1):
            return self._number(token)
        if token in ("(", "{", "["):
            value = self._sum()
            self._expect(_CLOSING[token])
            return value
        if token == "|":
            value = self._sum()
            self._expect("|")
            return sympy.Abs(value)
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if (token.isalpha() and len(token) == 1) or token in _GREEK:
            return sympy.Symbol(token + self._subscript())
        return self._command(token)

    def _number(self, token: str) -> Any:
        if len(token) > 1000:
            raise Unreadable("a number that is too long")
        value = sympy.Rational(token.rstrip("."))
        if self._next() == r"\overline" and "." in token:
            self._take()
            return value + self._repeating(len(token.partition(".")[2]))
        if self._next() == r"\frac" and value.is_Integer and self._is_proper_fraction():
            self._take()
            return value + _divided(self._argument(), self._argument())
        if self._next() == "_":
            raise Unreadable("a subscript of a number")
        return value

    def _is_proper_fraction(self) -> bool:
        """Whether a mixed number follows: numerator and denominator are integers."""
        rest = "".join(self._tokens[self._place + 1 : self._place + 12])
        return bool(re.match(r"\{\d+\}\{\d+\}|\{\d+\}\d|\d\{\d+\}|\d\d", rest))

    def _repeating(self, places: int) -> Any:
        """The value of repeating digits after `places` decimal places: 0.1\\overline{6}."""
        self._expect("{")
        digits = self._take()
        self._expect("}")
        if not digits.isdigit():
            raise Unreadable("a repeating decimal without digits")
        return sympy.Rational(int(digits), (10 ** len(digits) - 1) * 10**places)

    def _subscript(self) -> str:
        if self._next() != "_":
            return ""
        self._take()
        token = self._take()
        if token != "{":
            return "_" + token
        inside = []
        while self._next() != "}":
            inside.append(self._take())
        self._take()
        return "_" + "".join(inside)

    def _command(self, token: str) -> Any:
        if token == r"\frac":
            above = self._argument()
            return _divided(above, self._argument())
        if token == r"\sqrt":
            degree = sympy.Integer(2)
            if self._next() == "[":
                self._take()
                degree = self._sum()
                self._expect("]")
            return _raised(self._argument(), _divided(sympy.Integer(1), degree))
        if token == r"\binom":
            above = self._argument()
            below = self._argument()
            if not (above.is_Integer and below.is_Integer and 0 <= below <= above <= LARGEST_FACTORIAL):
                raise Unreadable("a binomial coefficient that is too large")
            return sympy.binomial(above, below)
        if token in (r"\lfloor", r"\lceil"):
            value = self._sum()
            self._expect(_CLOSING[token])
            return sympy.floor(value) if token == r"\lfloor" else sympy.ceiling(value)
        if token == r"\log":
            return self._logarithm()
        if token in _FUNCTIONS:
            return self._function(_FUNCTIONS[token])
        raise Unreadable(token)

    def _logarithm(self) -> Any:
        base = None
        if self._next() == "_":
            self._take()
            base = self._argument()
        value = self._function(sympy.log)
        return value if base is None else _divided(value, sympy.log(base))

    def _function(self, function: Any) -> Any:
        exponent = None
        if self._next() == "^":
            self._take()
            exponent = self._argument()
        value = function(self._atom()) if self._next() in ("(", "{", "[") else function(self._monomial())
        if exponent is None:
            return value
        if exponent == -1:
            raise Unreadable("an inverse function, or a reciprocal")
        return value**exponent

    def _monomial(self) -> Any:
        r"""The argument of a function without brackets: `\sin 2x`."""
        value = self._signed()
        while self._next() and self._begins_factor(self._next()) and self._next() not in _FUNCTIONS:
            value = value * self._power()
        return value


def _divided(above: Any, below: Any) -> Any:
    if below == 0:
        raise Unreadable("a division by zero")
    return above / below


def _raised(base: Any, exponent: Any) -> Any:
    if exponent.is_Rational and base.is_Rational:
        bits = max(int(base.p).bit_length(), int(base.q).bit_length())
        if bits * abs(exponent) > LARGEST_BITS or (base == 0 and exponent < 0):
            raise Unreadable("a power that is too large")
    elif (not exponent.free_symbols and base.is_number and abs(sympy.N(exponent)) > LARGEST_BITS) or (
        exponent.is_Integer and abs(exponent) > 200
    ):
        raise Unreadable("a power that is too large")
    return base**exponent
