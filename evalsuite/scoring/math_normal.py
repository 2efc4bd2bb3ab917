r"""Normalizes an answer as the older NeMo grader does before it compares.

The rules, their order and their word lists come from nvidia-lm-eval 25.5
(`adlr_minerva_math_nemo/math_grader.py`), which has them from the graders of MATH (Hendrycks et al. 2021,
arXiv:2103.03874), PRM800K and ToRA. Their quirks are kept, since published scores depend on them: "hours" is
removed but "30 min" is not, "2 1/2" becomes "2+1/2", and a number just below an integer is truncated, not
rounded.

Every pattern takes linear time, hence the lookbehinds, which do not change the matches.
"""

import re
from collections.abc import Callable

_UNITS = (
    *("degree", "cm", "centimeter", "meter", "mile", "second", "minute", "hour", "week", "month", "year"),
    *("foot", "feet", "inch", "yard", "p.m.", "PM"),
)
"""Units to remove, in this order, with plural and exponent; regular expressions, as in the reference."""
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TEXT_COMMANDS = ("text", "mathrm", "mathcal", "textbf", "textit")
_REPLACED = (
    (r"\!", ""),
    (r"\%", "%"),
    (r"\$", "$"),
    ("$", ""),
    ("%", ""),
    (r"^{\circ}", ""),
    (" or ", " , "),
    (" and ", " , "),
    ("million", "*10^6"),
    ("billion", "*10^9"),
    ("trillion", "*10^12"),
)
_THOUSANDS = re.compile(r"(\d),(\d\d\d)(?!\d)")


class Ambiguous(ValueError):
    r"""An answer with several `\mbox`, of which the reference does not know which to keep."""


def normalized(answer: str) -> str:
    r"""The form in which two answers are compared; raises Ambiguous.

    In order: a leading `$` or trailing `%` of a number, `\left` and `\right`, "or" and "and" to commas, units
    after `\text`, the interval after `\in`, enclosing text commands, signs, number words, units, days,
    degrees, an enclosing brace, `\sqrt` and `\frac` without braces, mixed numbers, blanks, integers.
    """
    steps: tuple[Callable[[str], str], ...] = (
        _without_sign_of_money_or_percent,
        _without_left_and_right,
        _words_to_commas,
        _without_units_in_text,
        _after_membership,
        _without_text_commands,
        _replaced,
        _without_units,
        _without_days,
        _without_degrees_and_brace,
        _with_braces,
        _with_sums_for_mixed_numbers,
        _integer_as_integer,
    )
    for step in steps:
        answer = step(answer)
    return answer


def _without_sign_of_money_or_percent(text: str) -> str:
    if re.match(r"\$\d+", text):
        return text[1:]
    if re.match(r"\d+(\.\d+)?\\?%$", text):
        return text.replace(r"\%", "").replace("%", "")
    return text


def _without_left_and_right(text: str) -> str:
    return text.replace(r"\left", "").replace(r"\right", "")


def _words_to_commas(text: str) -> str:
    text = re.sub(r"(?:(?<!\s)\s+)?\\text{\s*(?:or|and)\s*}\s*", ",", text)
    return re.sub(r",\s*,", ",", text)


def _without_units_in_text(text: str) -> str:
    r"""The text before a single `\text{...}`, which is a unit; several of them lose only the command."""
    if r"\text" in text:
        before, *rest = re.split(r"\\text\s*{\s*", text)
        if len(rest) == 1 and before not in ("", "("):
            return before
    if r"\text{" in text:
        closed, brace, unclosed = text.rpartition("}")
        return re.sub(r"\\text{([^}]+)}", r"\1", closed + brace) + unclosed
    if r"\mbox{" in text:
        before, *rest = text.split(r"\mbox{")
        if len(rest) > 1:
            raise Ambiguous(r"more than one \mbox")
        return before
    return text


def _after_membership(text: str) -> str:
    return text.split(r"\in ")[1].strip() if r"\in " in text else text


def _without_text_commands(text: str) -> str:
    for command in _TEXT_COMMANDS:
        text = text.replace(rf"\\{command}", "")
        enclosed = re.search(rf"^\\{command}\{{(.+?)\}}$", text)
        text = enclosed.group(1) if enclosed else text
    return text


def _replaced(text: str) -> str:
    for before, after in _REPLACED:
        text = text.replace(before, after)
    return text


def _without_units(text: str) -> str:
    for unit in _UNITS:
        text = re.sub(rf"{unit}(?:es)?s? *(?:\^[0-9]+)?", "", text)
    return text


def _without_days(text: str) -> str:
    """The text without "day", unless it names a weekday."""
    return text if any(day in text for day in _WEEKDAYS) else re.sub("days?", "", text)


def _without_degrees_and_brace(text: str) -> str:
    text = re.sub(r"\^ *\\circ", "", text)
    return text[1:-1] if text.startswith("{") and text.endswith("}") else text


def _with_braces(text: str) -> str:
    r"""`\sqrt2` and `\frac12` with the braces that LaTeX allows to omit."""
    text = re.sub(r"\\sqrt(\s*\w+)", r"\\sqrt{\1}", text)
    text = re.sub(r"\\frac +", r"\\frac", text)
    before, *parts = text.split(r"\frac")
    if any(len(part) < 2 and not part.startswith("{") for part in parts):
        return text
    return before + "".join(rf"\frac{_with_numerator_in_braces(part)}" for part in parts)


def _with_numerator_in_braces(part: str) -> str:
    r"""`part` follows a `\frac`; it opens with a brace or has two characters."""
    if part.startswith("{"):
        return part
    above, below, rest = part[0], part[1], part[2:]
    return f"{{{above}}}" + (below if below == "{" else f"{{{below}}}") + rest


def _with_sums_for_mixed_numbers(text: str) -> str:
    text = re.sub("- *", "-", text)
    text = re.sub("([0-9]) +([0-9])", r"\1+\2", text)
    text = re.sub(r"(?<!\d)(\d+) *\\frac{(\d+)}{(\d+)}", r"\1 + \2/\3", text)
    return text.replace(" ", "")


def _integer_as_integer(text: str) -> str:
    if not _is_integer(text):
        return text
    whole, _, _base = text.replace(",", "").partition("_")
    return str(int(float(whole)))


def _is_integer(text: str) -> bool:
    try:
        value = float(_without_thousands_commas(text))
        return abs(value - round(value)) <= 1e-7
    except (ValueError, OverflowError):  # not a number; infinite
        return False


def _without_thousands_commas(text: str) -> str:
    """The text without commas before exactly three digits; commas of a tuple are kept."""
    shorter = _THOUSANDS.sub(r"\1\2", text)
    return text if shorter == text else _without_thousands_commas(shorter)
