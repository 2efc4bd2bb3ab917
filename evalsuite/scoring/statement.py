r"""The number that a worked solution of a word problem gives as its answer, as a careful person reads it.

The last finished statement decides ("The answer is ...", `\boxed{...}`, "#### ..."; without any, the last sentence
that holds a number), and in it the value that it states: the right side of an equation, not its first number. A
statement that could mean several numbers has no answer.
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
"""Characters of a sentence; a longer one states nothing."""

MOST_STATEMENTS = 20
"""Of those that a text marks as its answer, from the last."""

_NEXT_QUESTION = re.compile(r"^[ \t#*]*(?:Question|Problem|Q)[ \t]*\d*[*]*[ \t]*:", re.MULTILINE)
_MARK = re.compile(
    r"####|\b(?:answer|Answer|ANSWER)s?\b(?:[ \t](?:to|for|of)\b[^.?!\n]{0,100}?)?[ \t*_]*"
    r"(?::|=|\b(?:is|IS|are|was|equals|will be|would be|should be|must be)\b)",
)
_SIGNS = ("####", "answer", "Answer", "ANSWER")
"""A mark begins with one of them: the search for it does too."""
_END = re.compile(r"\n|[!?](?=\W|$)|\.(?=[\s\"'”’)*_}$\]]|$)|(?<=\d)\.(?=[A-Z])|;(?=\s|$)")
_ABBREVIATION = re.compile(r"(?:\b(?:approx|Rs|No|Mr|Mrs|Ms|Dr|St|vs)|\b[ie]\.[eg])\Z", re.IGNORECASE)
_NUMERAL = re.compile(r"\s*(-?)\$?(\d{1,9}|\d{1,3}(?:,\d{3}){1,4})\s*", re.ASCII)
"""What most sentences are: they need no reading."""
_ACCOUNTING = re.compile(r"[^\w(]*\(\s*\\?[$€£]\s*[\d.,]+\s*\)\W*")
"""($10): ten dollars in brackets, or a loss of ten dollars."""


class Statement(NamedTuple):
    """What a sentence says about its number."""

    value: Fraction | None
    """None where it could mean several numbers, or something that is no number."""


def final_number(text: str) -> Fraction | None:
    """The answer that `text` gives, before it goes on to another question; None where it gives none."""
    own = _before_next_question(text)
    marked = list(_marked_statements(own))
    for start, end in reversed(marked or list(_sentences(own))):
        statement = read_statement(own[start:end], concludes=not marked)
        if statement is not None:
            return statement.value
    return None


def read_statement(sentence: str, concludes: bool = False) -> Statement | None:
    """What one sentence states; None where it holds no number or breaks off before it.

    Args:
        sentence: what stands after the mark of an answer, or a whole sentence.
        concludes: a whole sentence: its last equation follows from the numbers before it.
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
    """The value of an answer that stands alone, as gold answers do; None where it is no number."""
    statement = read_statement(sentence)
    return None if statement is None else statement.value


def spelled(value: Fraction) -> str:
    """An integer or finite decimal number in digits, any other as a fraction: one spelling for each value."""
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
    """Spans of the sentences behind "the answer is", "Answer:" and "####", in order; at most the last 20."""
    first = min((place for sign in _SIGNS if (place := text.find(sign)) >= 0), default=len(text))
    starts = [match.end() for match in _MARK.finditer(text, first)][-MOST_STATEMENTS:]
    return [(start, _sentence_end(text, start)) for start in starts]


def _marked_statements(text: str) -> list[tuple[int, int]]:
    """Spans of the statements that a text marks as its answer, boxes included, in order."""
    marks = stated_answers(text)
    if "boxed" not in text and "fbox" not in text:
        return marks
    found: list[tuple[int, int]] = []
    for start, end, of_box in sorted(
        [*((*mark, False) for mark in marks), *((box.start, box.end, True) for box in boxes(text))]
    ):
        if not (of_box and found and start < found[-1][1]):  # a box within a statement is a part of it
            found.append((start, end))
    return found


def _sentence_end(text: str, start: int) -> int:
    """Where the sentence ends that goes on at `start`, on that line or the next that is not blank."""
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
    """ "18 / 2 =" """
    last = found[-1]
    return (last.kind == "operator" and last.text in "*/^+") or (
        last.kind == "equals" and last.text[0] == "="
    )


def _without_remarks(found: list[Token]) -> list[Token]:
    """Without what stands in brackets after a number: "18 (9 each)"."""
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
    return any(one.kind == "number" for one in kept) and kept[-1].kind in ("number", "word", "percent")


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a sentence that states a number."""

    value: Fraction | None
    asserted: bool
    """The number stands on the right side of an equation."""
    operands: frozenset[Fraction]
    """All numbers of the clause."""
    restates: bool
    """It begins with "which is": it says anew what was said before it."""
    compares: bool
    """It compares ("2 more than")."""
    denied: bool
    """It says what the answer is not."""
    circumstance: bool
    """It holds circumstances alone ("in 5 days")."""
    open_end: bool
    """Its last number is a circumstance, so that a number after "and" is one too ("for 2 adults and 3
    children")."""


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
"""Words that make another number of the number beside them."""


def _clauses(found: list[Token]) -> Iterator[Clause]:
    """The clauses that hold a number, in order."""
    clause: Clause | None = None
    for part, restates in _parts(found):
        if any(token.kind in ("number", "bad") for token in part):
            clause = _clause(part, restates, clause is not None and clause.open_end)
            yield clause


def _parts(found: list[Token]) -> Iterator[tuple[list[Token], bool]]:
    """What stands between breaks, each with whether it restates what stands before it."""
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
    """The first number of the side at `place`, where the arithmetic before the equals sign gives just
    that."""
    if place == 0 or not sides[place] or not sides[place - 1]:
        return None
    result, sum_before = sides[place][0], sides[place - 1][-1]
    if result is None or sum_before is None or not sum_before.computed or result.value != sum_before.value:
        return None
    return result.value


def _quantities(side: list[Token]) -> Sequence[Quantity | None]:
    """Those of one side of an equation; None in place of all where they have no reading."""
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
    """The value that one side of an equation has; None where it has several."""
    if any(one.compared for one in side):
        return None
    stated = [one for one in side if not one.qualified] or side
    kept = [one for one in stated if not one.denied]
    values = {one.value for one in kept}
    return values.pop() if len(values) == 1 else None


def _value_of(clauses: list[Clause], concludes: bool) -> Fraction | None:
    """The one value of all clauses, or of the last where the others lead up to it."""
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
