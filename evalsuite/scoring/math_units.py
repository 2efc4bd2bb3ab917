r"""Separates a mathematical answer from its unit: "864 \mbox{ inches}^2", "13 cm", "90^\circ", "50\%"."""

import re
from typing import NamedTuple

_NAMES = {
    "cm": ("cm", "centimeter", "centimetre"),
    "mm": ("mm", "millimeter", "millimetre"),
    "km": ("km", "kilometer", "kilometre"),
    "m": ("m", "meter", "metre"),
    "in": ("in", "inch", "inche"),
    "ft": ("ft", "foot", "feet"),
    "yd": ("yd", "yard"),
    "mi": ("mi", "mile"),
    "s": ("sec", "second"),
    "min": ("min", "minute"),
    "h": ("hr", "hour"),
    "day": ("day",),
    "kg": ("kg", "kilogram"),
    "g": ("gram",),
    "lb": ("lb", "pound"),
    "oz": ("oz", "ounce"),
    "L": ("liter", "litre"),
    "mL": ("ml", "milliliter", "millilitre"),
    "dollar": ("dollar", "usd"),
    "cent": ("cent",),
    "degree": ("degree", "deg"),
    "percent": ("percent",),
    "unit": ("unit",),
    "mph": ("mph", "mile per hour"),
}
_CANONICAL = {spelling: name for name, spellings in _NAMES.items() for spelling in spellings}
_NO_UNITS = frozenset(
    {"and", "or", "if", "to", "for", "where", "mod", "is", "sin", "cos", "tan", "log", "ln", "pi"}
)
_DEGREE = re.compile(r"\s*(?:\^\s*\{?\s*(?:\\circ|\\degree|°|o)\s*\}?|\\degree|°)\s*")
_UNIT = re.compile(
    r"(?P<value>.*[\d})\]π])(?P<blank>\s*)(?P<words>(?:[A-Za-z][A-Za-z.]*)(?:[ /]+[A-Za-z][A-Za-z.]*)*)"
    r"\s*(?:\^\s*\{?\s*(?P<power>\d)\s*\}?)?\s*",
    re.DOTALL,
)


class Measure(NamedTuple):
    """An answer without its unit, and the unit."""

    value: str
    unit: str
    """Name of the unit with its power ("in^2"); empty if there is none."""


def measure(text: str) -> Measure:
    """Separate an answer from its unit; words after a number are a unit, a single letter is a variable."""
    if text.endswith("%"):
        return Measure(text[:-1].strip(), "percent")
    if degree := _last_degree(text):
        return Measure(degree, "degree")
    match = _UNIT.fullmatch(text)
    if match is None or match["value"].endswith(("\\}", "\\)")):
        return Measure(text, "")
    words = match["words"].lower().replace(".", "").split()
    known = " ".join(words).rstrip("s") in _CANONICAL or words[0].rstrip("s") in _CANONICAL
    adjectives = words[0] in ("square", "sq", "cubic", "cu")
    if _NO_UNITS.intersection(words) or not (known or adjectives or (match["blank"] and len(words[0]) > 1)):
        return Measure(text, "")
    if match["words"].lower() in ("m", "s", "g", "h", "in") and not match["blank"]:
        return Measure(text, "")
    return Measure(match["value"].strip(), _canonical(words, match["power"]))


def _last_degree(text: str) -> str:
    found = list(_DEGREE.finditer(text))
    if not found or found[-1].end() < len(text):
        return ""
    return text[: found[-1].start()].strip()


def _canonical(words: list[str], power: str | None) -> str:
    raised = {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}
    if words[0] in raised and len(words) > 1:
        power, words = raised[words[0]], words[1:]
    elif words[-1] in ("squared", "cubed") and len(words) > 1:
        power, words = {"squared": "2", "cubed": "3"}[words[-1]], words[:-1]
    whole = " ".join(words)
    single = whole if whole in _CANONICAL else whole.rstrip("s")
    singular = [word.rstrip("s") for word in words]
    name = _CANONICAL.get(single) or " ".join(_CANONICAL.get(word, word) for word in singular)
    return f"{name}^{power}" if power and power != "1" else name
