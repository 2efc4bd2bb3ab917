r"""Finds the number that a solution of a word problem gives as its answer, as a careful reader would.

The last complete statement decides ("The answer is ...", `\boxed{...}`, "#### ..."; without any, the last
sentence with a number). Its value is the one that it states: the right side of an equation, not its first
number. A statement that could mean several numbers has no answer.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from evalsuite.latex import boxes
from evalsuite.scoring.arithmetic import NoReading, Quantity, quantities
from evalsuite.scoring.number_words import as_digits
from evalsuite.scoring.numerals import Token, plain, tokens

LONGEST_STATEMENT = 2000
"""Longest sentence, in characters; a longer one states nothing."""

MOST_STATEMENTS = 20
"""Maximum number of marked answers that are examined, counted from the last."""

_NEXT_QUESTION = re.compile(r"^[ \t#*]*(?:Question|Problem|Q)[ \t]*\d*[*]*[ \t]*:", re.MULTILINE)
_MARK = re.compile(
    r"####|\b(?:answer|Answer|ANSWER)s?\b(?:[ \t](?:to|for|of)\b[^.?!\n]{0,100}?)?[ \t*_]*"
    r"(?::|=|\b(?:is|IS|are|was|equals|will be|would be|should be|must be)\b)",
)
_SIGNS = ("####", "answer", "Answer", "ANSWER")
"""Beginnings of all marks, from which the search starts."""
_END = re.compile(r"\n|[!?](?=\W|$)|\.(?=[\s\"'”’)*_}$\]]|$)|(?<=\d)\.(?=[A-Z])|;(?=\s|$)")
_ABBREVIATION = re.compile(r"(?:\b(?:approx|Rs|No|Mr|Mrs|Ms|Dr|St|vs)|\b[ie]\.[eg])\Z", re.IGNORECASE)
_NUMERAL = re.compile(r"\s*(-?)\$?(\d{1,9}|\d{1,3}(?:,\d{3}){1,4})\s*", re.ASCII)
"""A plain number, which most sentences are, and which needs no further parsing."""
_ACCOUNTING = re.compile(r"[^\w(]*\(\s*\\?[$€£]\s*[\d.,]+\s*\)\W*")
"""($10): ten dollars in brackets, or a loss of ten dollars."""


class Statement(NamedTuple):
    """The statement that a sentence makes about its number."""

    value: Fraction | None
    """None if the statement is ambiguous or states no number."""


def final_number(text: str) -> Fraction | None:
    """The answer in `text`, before it continues with another question; None if it has no answer."""
    own = _before_next_question(text)
    marked = list(_marked_statements(own))
    for start, end in reversed(marked or list(_sentences(own))):
        statement = read_statement(own[start:end], concludes=not marked)
        if statement is not None:
            return statement.value
    return None


def read_statement(sentence: str, concludes: bool = False) -> Statement | None:
    """The statement of one sentence; None if it has no number or breaks off before it.

    Args:
        sentence: the text after the mark of an answer, or a whole sentence.
        concludes: whether this is a whole sentence, whose last equation follows from the numbers before it.
    """
    if numeral := _NUMERAL.fullmatch(sentence):
        return Statement(Fraction(numeral[1] + numeral[2].replace(",", "")))
    if len(sentence) > LONGEST_STATEMENT:
        return Statement(None)
    if _ACCOUNTING.fullmatch(sentence):
        return Statement(None)
    if not any(character.isnumeric() for character in sentence):
        sentence = as_digits(sentence)
    found = tokens(plain(sentence))
    if not any(token.kind in ("number", "bad") for token in found) or _breaks_off(found):
        return None
    return Statement(_value_of(list(_clauses(_without_remarks(found))), concludes))


def number(sentence: str) -> Fraction | None:
    """The value of an answer without context, such as a gold answer; None if it is not a number."""
    statement = read_statement(sentence)
    return None if statement is None else statement.value


def spelled(value: Fraction) -> str:
    """A unique text for each value: digits for an integer or finite decimal number, else a fraction."""
    denominator, places = value.denominator, 0
    while denominator % 10 == 0 or denominator % 2 == 0 or denominator % 5 == 0:
        denominator //= 10 if denominator % 10 == 0 else 2 if denominator % 2 == 0 else 5
        places += 1
    if denominator != 1:
        return str(value)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    whole, decimals = (digits[:-places], digits[-places:].rstrip("0")) if places else (digits, "")
    return ("-" if value < 0 else "") + whole + ("." + decimals if decimals else "")


def _before_next_question(text: str) -> str:
    for match in _NEXT_QUESTION.finditer(text) if "Q" in text or "Problem" in text else ():
        if text[: match.start()].strip():
            return text[: match.start()]
    return text


def stated_answers(text: str) -> list[tuple[int, int]]:
    """Start and end of the sentences after "the answer is", "Answer:" or "####", in order; the last 20."""
    first = min((place for sign in _SIGNS if (place := text.find(sign)) >= 0), default=len(text))
    starts = [match.end() for match in _MARK.finditer(text, first)][-MOST_STATEMENTS:]
    return [(start, _sentence_end(text, start)) for start in starts]


def _marked_statements(text: str) -> list[tuple[int, int]]:
    """Start and end of the statements that a text marks as its answer, boxes included, in order."""
    marks = stated_answers(text)
    if "boxed" not in text and "fbox" not in text:
        return marks
    found: list[tuple[int, int]] = []
    for start, end, of_box in sorted(
        [*((*mark, False) for mark in marks), *((box.start, box.end, True) for box in boxes(text))]
    ):
        if not (of_box and found and start < found[-1][1]):  # a box within a statement belongs to it
            found.append((start, end))
    return found


def _sentence_end(text: str, start: int) -> int:
    """End of the sentence that continues at `start`, on that line or the next non-blank line."""
    position = start
    while position < len(text) and (
        text[position] in " \t\r\n:*_" or text.startswith((r"\[", "$$"), position)
    ):
        position += 2 if text[position] in "\\$" else 1
    for match in _END.finditer(text, position, position + LONGEST_STATEMENT):
        if match.group() != "." or not _ABBREVIATION.search(
            text, max(start, match.start() - 8), match.start()
        ):
            return match.start()
    return min(len(text), position + LONGEST_STATEMENT + 1)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = _sentence_end(text, start)
        yield start, end
        start = max(end, start) + 1


def _breaks_off(found: list[Token]) -> bool:
    """Whether the tokens end in an operator or equals sign: "18 / 2 ="."""
    last = found[-1]
    return (last.kind == "operator" and last.text in "*/^+") or (
        last.kind == "equals" and last.text[0] == "="
    )


def _without_remarks(found: list[Token]) -> list[Token]:
    """The tokens without brackets after a number: "18 (9 each)"."""
    kept: list[Token] = []
    depth = 0
    for token in found:
        opens, closes = token.text == "(" and token.kind == "operator", token.text == ")"
        if depth:
            depth += opens - closes
        elif opens and not token.tight and _follows_a_value(kept):
            depth = 1
        else:
            kept.append(token)
    return kept


def _follows_a_value(kept: list[Token]) -> bool:
    return any(token.kind == "number" for token in kept) and kept[-1].kind in ("number", "word", "percent")


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a sentence that states a number."""

    value: Fraction | None
    asserted: bool
    """Whether the number is on the right side of an equation."""
    operands: frozenset[Fraction]
    """All numbers of the clause."""
    restates: bool
    """Whether it begins with "which is" and restates the text before it."""
    compares: bool
    """Whether it compares ("2 more than")."""
    denied: bool
    """Whether it says what the answer is not."""
    circumstance: bool
    """Whether it has only circumstances ("in 5 days")."""
    open_end: bool
    """Whether its last number is a circumstance, and so a number after "and" ("for 2 men and 3 women")."""


_RESTATING = frozenset({"namely", "meaning"})
_COMPARING = frozenset(
    {"more", "less", "fewer", "greater", "larger", "smaller", "higher", "lower", "older", "younger", "longer"}
    | {"shorter", "than", "twice", "half"}
)
_COMPUTING = frozenset(
    {
        "half",
        "third",
        "thirds",
        "quarter",
        "quarters",
        "twice",
        "double",
        "triple",
        "thrice",
    }
    | {"root", "sum", "difference", "product", "quotient", "average", "squared", "cubed", "factorial"}
)
"""Words that change the number beside them."""


def _clauses(found: list[Token]) -> Iterator[Clause]:
    """The clauses with a number, in order."""
    clause: Clause | None = None
    for part, restates in _parts(found):
        if any(token.kind in ("number", "bad") for token in part):
            clause = _clause(part, restates, clause is not None and clause.open_end)
            yield clause


def _parts(found: list[Token]) -> Iterator[tuple[list[Token], bool]]:
    """The parts between breaks, and whether each restates the text before it."""
    part: list[Token] = []
    restates = False
    for place, token in enumerate(found):
        following = found[place + 1].kind if place + 1 < len(found) else ""
        anew = token.kind == "word" and (
            token.text in _RESTATING or (token.text in ("which", "that") and following == "equals")
        )
        if anew or token.kind == "break":
            yield part, restates
            restates = anew or (restates and not part)
            part = []
        else:
            part.append(token)
    yield part, restates


def _clause(part: list[Token], restates: bool, after_circumstance: bool) -> Clause:
    sides = list(_sides(part))
    read = [_quantities(side) for side in sides]
    held = [place for place, side in enumerate(read) if side]
    stating = [place for place in held if any(one is None or not one.qualified for one in read[place])]
    place = (stating or held)[-1]
    words = {token.text for token in sides[place] if token.kind == "word"}
    known = [one for one in read[place] if one is not None]
    result = _worked_out(read, place)
    unread = len(known) < len(read[place]) or bool(words & _COMPUTING)
    goes_on = after_circumstance and len(sides) == 1 and part[0].kind == "number"
    last = read[held[-1]][-1]
    return Clause(
        value=result if result is not None else None if unread else _one_value(known),
        asserted=place > 0,
        operands=frozenset(token.value for token in part if token.kind == "number"),
        restates=restates,
        compares=bool(words & _COMPARING),
        denied=bool(known) and all(one.denied for one in known),
        circumstance=goes_on or not stating,
        open_end=goes_on or (last is not None and last.qualified),
    )


def _worked_out(sides: list[Sequence[Quantity | None]], place: int) -> Fraction | None:
    """The first number of the side at `place`, if it is the result of the arithmetic before it."""
    if place == 0 or not sides[place] or not sides[place - 1]:
        return None
    result, sum_before = sides[place][0], sides[place - 1][-1]
    if result is None or sum_before is None or not sum_before.computed or result.value != sum_before.value:
        return None
    return result.value


def _quantities(side: list[Token]) -> Sequence[Quantity | None]:
    """The quantities of one side of an equation; only None if they are ambiguous."""
    try:
        return quantities(side)
    except NoReading:
        return [None]


def _sides(part: list[Token]) -> Iterator[list[Token]]:
    side: list[Token] = []
    for token in part:
        if token.kind == "equals":
            yield side
            side = []
        else:
            side.append(token)
    yield side


def _one_value(side: list[Quantity]) -> Fraction | None:
    """The value of one side of an equation; None if it has several."""
    if any(quantity.compared for quantity in side):
        return None
    stated = [quantity for quantity in side if not quantity.qualified] or side
    kept = [quantity for quantity in stated if not quantity.denied]
    values = {quantity.value for quantity in kept}
    return values.pop() if len(values) == 1 else None


def _value_of(clauses: list[Clause], concludes: bool) -> Fraction | None:
    """The common value of all clauses, or the last one's if the others lead up to it."""
    clauses = [clause for clause in clauses if not clause.denied]
    clauses = [clause for clause in clauses if not clause.circumstance] or clauses
    if not clauses:
        return None
    if len({clause.value for clause in clauses}) == 1:
        return clauses[0].value
    last, earlier = clauses[-1], clauses[:-1]
    if last.restates:
        return _value_of(earlier, concludes) if last.compares else last.value
    if last.asserted and all(
        (concludes and not clause.asserted) or clause.value in _later_operands(clauses[place + 1 :])
        for place, clause in enumerate(earlier)
    ):
        return last.value
    return None


def _later_operands(clauses: Iterable[Clause]) -> frozenset[Fraction]:
    return frozenset().union(*(clause.operands for clause in clauses))
