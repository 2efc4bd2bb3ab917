r"""Reads the text of a boxed answer into a value: cleans LaTeX, then reads structure, then expressions."""

import re
from collections.abc import Iterator
from functools import lru_cache

import sympy

from evalsuite.scoring.latex_expression import Unreadable, expression
from evalsuite.scoring.math_units import measure
from evalsuite.scoring.math_values import Value

LONGEST = 2000
"""Longest answer that is read, in characters; a longer one is compared only as text."""

_COMMANDS = (
    r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt|cal|bb)|mbox|hbox|boldsymbol|bm|boxed|fbox|emph|"
    r"underline|operatorname\*?)\s*"
)
_WRAPPER = re.compile(_COMMANDS + r"\{([^{}]*)\}")
_WRAPPER_OF_GROUPS = re.compile(_COMMANDS + r"(?=\{)")
_SUBSTITUTIONS = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"\\\\(?:\[[^\]]*\])?", "⏎"),  # the end of a matrix's row
        (
            r"\\\(|\\\)|\\\[|\\\](?!\w)|\$|\\(?:displaystyle|textstyle|bf|rm|limits|phantom\{[^{}]*\})(?![A-Za-z])",
            " ",
        ),
        (r"\\(?:left|right|[bB]igg?[lrm]?)(?![A-Za-z])\.?", ""),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"(?<=\d),\\!\s*(?=\d)|(?<=\d)\{,\}\s*(?=\d)", ""),
        (r"(?<=\d)\\[,;: ]\s*(?=\d{3}(?!\d))|(?<=\d)[ ~](?=\d{3}(?:[ ~]\d{3})*(?!\d))", ""),
        (r"\\!", ""),
        (r"\\[,;:> ]|~|\\q?quad(?![A-Za-z])", " "),
        (r"\\(?:leqslant|leq?)(?![A-Za-z])|≤|<=", "≤"),
        (r"\\(?:geqslant|geq?)(?![A-Za-z])|≥|>=", "≥"),
        (r"\\lt(?![A-Za-z])", "<"),
        (r"\\gt(?![A-Za-z])", ">"),
        (r"\\(?:neq?)(?![A-Za-z])", "≠"),
        (r"\\(?:cup)(?![A-Za-z])", "∪"),
        (r"\\in(?![A-Za-z])", "∈"),
        (r"\\pm(?![A-Za-z])|±", "±"),
        (r"\\(?:lbrace|\{)", "⦃"),
        (r"\\(?:rbrace|\})", "⦄"),
        (r"\\(?:[lr]vert|mid|vert)(?![A-Za-z])", "|"),
        (r"[−–]", "-"),
        (r"\\%", "%"),
        (r"×", r"\\times "),
        (r"\\(?:emptyset|varnothing)(?![A-Za-z])", "∅"),
        (r"\\(?:text|mathrm|mbox)(?![A-Za-z])", " "),
    )
)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}", re.DOTALL)
_BASED = re.compile(r"(-?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)_(?:\{\s*([0-9]+|[a-z]+)\s*\}|(\d+))")
_BASES = {
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
} | {"ten": "10", "twelve": "12", "sixteen": "16"}
_OPEN, _CLOSE = "([{⦃", ")]}⦄"


def cleaned(text: str) -> str:
    """The answer without markup and without punctuation at its end."""
    text = text.replace(r"\$", "")
    for _ in range(5):  # from the inside out
        shorter = _WRAPPER.sub(r" \1 ", text)
        if shorter == text:
            break
        text = shorter
    text = _WRAPPER_OF_GROUPS.sub(" ", text)
    for pattern, by in _SUBSTITUTIONS:
        text = pattern.sub(by, text)
    text = re.sub(r"\s+", " ", text).strip()
    while text and text[-1] in ".,;:":
        text = text[:-1].rstrip()
    while text.startswith("{") and _closes_at_end(text):
        text = text[1:-1].strip()
    return text


@lru_cache(maxsize=4096)
def read(text: str) -> Value:
    """The value of an answer; its words if it is not mathematics."""
    text = cleaned(text)
    if len(text) > LONGEST:
        return _words(text)
    try:
        return _whole(text)
    except (Unreadable, TypeError, AttributeError, OverflowError, RecursionError):
        return _words(text)


def _whole(text: str) -> Value:
    if based := _BASED.fullmatch(text.replace(" ", "")):
        base = based[2] or based[3]
        return Value("based", (based[1].upper(), _BASES.get(base, base)))
    if text.lower() in ("all real numbers", "r", "(-\\infty,\\infty)") and text != "r" and len(text) > 1:
        return Value("interval", (_expression("-\\infty"), _expression("\\infty")), "()")
    if "∪" in text:
        return Value("union", tuple(_whole(part) for part in _split(text, "∪")))
    parts = _list_parts(text)
    if len(parts) > 1:
        return Value("set", tuple(value for part in parts for value in _signs(_whole(part))))
    if any(sign in text for sign in "=≤≥<>∈≠"):
        return _relation(text)
    return _collection(text)


def _list_parts(text: str) -> list[str]:
    text = re.sub(r"(?:,\s*)?(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])", " , ", text)
    text = _THOUSANDS.sub(lambda match: match.group().replace(",", ""), text)
    return [part for part in _split(text, ",;") if part] or [text]


def _split(text: str, signs: str) -> list[str]:
    """Split at signs outside all brackets."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign in _OPEN) - (sign in _CLOSE)
        if depth == 0 and sign in signs:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()]


def _closes_at_end(text: str) -> bool:
    """Whether the last character closes the first bracket."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign in _OPEN) - (sign in _CLOSE)
        if depth == 0:
            return place == len(text) - 1
    return False


def _signs(value: Value) -> Iterator[Value]:
    """The members of a value written with ±."""
    if value.kind == "set" and value.brackets == "±":
        yield from value.items
    else:
        yield value


def _relation(text: str) -> Value:
    if "∈" in text:
        return _whole(_split(text, "∈")[-1])
    if not any(sign in text for sign in "≤≥<>≠"):
        sides = _split(text, "=")
        if len(sides) < 2 or not all(sides[1:]):
            raise Unreadable("an equation without a side")
        right = _collection(sides[-1]) if len(_list_parts(sides[-1])) == 1 else _whole(sides[-1])
        return Value("equation", (_side(sides[-2]), right))
    signs = re.findall("[≤≥<>≠=]", text)
    sides = _split(text, "≤≥<>≠=")
    if "≠" in signs or "=" in signs or len(signs) + 1 != len(sides):
        raise Unreadable("a relation of another kind")
    return _interval(sides, signs)


def _side(text: str) -> Value:
    """The left side of an equation, which may be a name: "\\angle ABC"."""
    try:
        return _collection(text)
    except Unreadable:
        return _words(text)


def _interval(sides: list[str], signs: list[str]) -> Value:
    """ "x > 5", "-2 ≤ x ≤ 7" as the interval of x."""
    if len(signs) == 2 and {*signs} <= {"≥", ">"}:
        sides, signs = sides[::-1], [{"≥": "≤", ">": "<"}[sign] for sign in signs[::-1]]
    if len(signs) == 2 and {*signs} <= {"≤", "<"} and re.fullmatch(r"\\?[A-Za-z]+", sides[1]):
        low, high = _expression(sides[0]), _expression(sides[2])
        return Value(
            "interval", (low, high), ("[" if signs[0] == "≤" else "(") + ("]" if signs[1] == "≤" else ")")
        )
    if len(signs) != 1:
        raise Unreadable("relations in both directions")
    left, right = (_expression(side) for side in sides)
    sign = signs[0]
    if left.items[0].is_number and not right.items[0].is_number:
        left, right, sign = right, left, {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}[sign]
    if not left.items[0].is_Symbol:
        raise Unreadable("an inequality that is not solved")
    if sign in "<≤":
        return Value("interval", (_expression(r"-\infty"), right), "(" + ("]" if sign == "≤" else ")"))
    return Value("interval", (right, _expression(r"\infty")), ("[" if sign == "≥" else "(") + ")")


def _collection(text: str) -> Value:
    """A matrix, set, tuple or interval, or an expression."""
    if matrix := _MATRIX.fullmatch(text):
        rows = [row for row in matrix[2].split("⏎") if row.strip()]
        return Value("matrix", tuple(tuple(_expression(cell) for cell in row.split("&")) for row in rows))
    if text == "∅":
        return Value("set", ())
    if text[:1] == "⦃" and _closes_at_end(text):
        inside = text[1:-1].strip()
        items = _list_parts(inside) if inside else []
        return Value("set", tuple(value for part in items for value in _signs(_whole(part))), "⦃⦄")
    if text[:1] in "([" and text[-1:] in ")]" and _closes_at_end(text):
        parts = _split(text[1:-1], ",;")
        if len(parts) > 1:
            return Value("tuple", tuple(_whole(part) for part in parts), text[0] + text[-1])
        if re.fullmatch(r"\s*[A-Z]\s*", text[1:-1]):
            return _words(text)
    return _with_signs(text)


def _with_signs(text: str) -> Value:
    if "±" in text:
        both = tuple(_expression(text.replace("±", sign)) for sign in "+-")
        return Value("set", both, "±")
    return _expression(text)


def _expression(text: str) -> Value:
    text = _THOUSANDS.sub(lambda match: match.group().replace(",", ""), text.strip())
    value, unit = measure(text)
    if re.fullmatch(r"-?[A-Z]", value):
        return _words(value)
    ratio = value.split(":")
    if len(ratio) == 2 and all(part.strip().isdigit() for part in ratio):
        value = f"{ratio[0]}/{ratio[1]}"
    found = expression(value)
    if found.has(sympy.zoo, sympy.nan):
        raise Unreadable("no number")
    return Value("expression", (found,), brackets=value if value.isalnum() else "", unit=unit)


def _words(text: str) -> Value:
    """Words in lower case, without brackets and signs around them."""
    plain = re.sub(r"\s+", " ", text.lower()).strip()
    if match := re.fullmatch(r"\(?\s*([a-z])\s*\)?\.?", plain):
        plain = match[1]
    return Value("text", (plain.replace(" ", "") if "\\" in plain else plain,))
