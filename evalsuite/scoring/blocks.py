"""Finds the longest run of lines that Python parses, in linear time.

A run parses if and only if it is a sequence of whole statements. So each line that can begin a statement is
examined once: where its statement ends (from quotes, brackets and indentation), and whether it parses. The
run from there ends where the run from the next statement ends. If a statement does not parse, its beginning
may.
"""

import ast
import re
import warnings
from collections.abc import Callable, Hashable
from itertools import accumulate
from typing import TypeVar

S = TypeVar("S", bound=Hashable)
_Line = int | tuple[int]
"""A line, or in a tuple the line where its statement ends."""
_Scan = int | tuple[int, int, str]
"""The line after a logical line, or a line with its open brackets and its open string or backslash."""

Unparsable = SyntaxError | ValueError | MemoryError | RecursionError | OverflowError
"""Errors of Python's parser; null bytes and deep nesting raise other errors than SyntaxError."""

_STEPS_PER_LINE, _FREE_STEPS = 20, 10_000
"""Lines that the search may parse before it settles for a long beginning in place of the longest."""
_DEEPEST = 200
"""Number of open brackets that CPython allows."""
_PART = re.compile(
    r"[^'\"#()\[\]{}\\\r]+|'''|\"\"\"|['\"]|#[^\r]*|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<joins>\\$)|(?s:.)"
)
_REST_OF_STRING = {
    "'": re.compile(r"(?:\\.|[^\\'])*'"),
    '"': re.compile(r'(?:\\.|[^\\"])*"'),
    "'''": re.compile(r"(?s:\\.|[^\\])*?'''"),
    '"""': re.compile(r'(?s:\\.|[^\\])*?"""'),
}
_JOINS = re.compile(r"(?:\\.|[^\\])*\\$")
"""A line that continues in the next one, inside a string."""
_SKIPPED = re.compile(r"[ \t\f]*(?:#[^\r]*)?$")
"""A blank line or a comment, which belongs to no statement."""
_GOES_ON = re.compile(r"[ \t\f]*[ \t](?=[^ \t\f])|\f*(?:elif|else|except|finally)\b")
"""A line that belongs to the statement before it, since it is indented or a clause."""


class ParsableBlocks:
    """The lines of a text, and which runs of them parse."""

    def __init__(self, text: str, compiles: bool = False) -> None:
        """`compiles` requires more than parsing: no `return` outside functions, for example."""
        self._flags = 0 if compiles else ast.PyCF_ONLY_AST
        self.lines = text.split("\n")
        self.filled = list(accumulate((bool(line.strip()) for line in self.lines), initial=0))
        """Number of lines with text before each line."""
        self.steps = 0
        """Cost of the search so far: lines scanned plus lines parsed."""
        self._allowed = _FREE_STEPS + _STEPS_PER_LINE * len(self.lines)
        self._reach: dict[int, int] = {}
        self._logical_ends: dict[_Scan, _Scan] = {}
        self._beginnings: dict[int, int] = {}
        self._statement_ends: dict[_Line, _Line] = {}
        self._joins: dict[int, int] = {}

    def longest(self, fewest: int, prefer: re.Pattern[str] | None = None) -> str:
        """The first run of at least `fewest` lines that parses and has the most lines with text.

        If nothing parses, the first line. A run with a line that matches `prefer` wins over one without.
        """
        preferred = list(accumulate((bool(prefer and prefer.match(line)) for line in self.lines), initial=0))
        most, best = (False, 0), (0, 1)
        for start in range(len(self.lines)):
            end = self.reach(start)
            score = (preferred[end] > preferred[start], self.filled[end] - self.filled[start])
            if end - start >= fewest and score[1] and score > most:
                most, best = score, (start, end)
        if most[1]:
            best = best[0], self._without_blank_end(*best, fewest)
        return "\n".join(self.lines[slice(*best)])

    def reach(self, start: int) -> int:
        """End (exclusive) of the longest run from `start` that parses; `start` if none does."""
        return _followed(start, self._next_in_run, self._reach)

    def _next_in_run(self, line: int) -> int | None:
        """The line after a statement, blank line or comment; None if nothing more parses."""
        if line >= len(self.lines):
            return None
        if _SKIPPED.match(self.lines[line]):
            return line + 1
        if self.steps > 2 * self._allowed:
            return None
        if self._goes_on(line):
            return self._past_nothing(line)
        end = self._statement_end(line)
        parsing = line if self._stays_open(line) else self._longest_beginning(line, end)
        if parsing == end:
            return end
        self._reach[line] = parsing
        return None

    def _past_nothing(self, line: int) -> int | None:
        """The end of an indented line with only a backslash that joins a blank line, which Python accepts."""
        end = self._logical_end(line)
        nothing = self.lines[line].strip() == "\\" and self._error(line, end) is None
        return end if nothing else None

    def _longest_beginning(self, start: int, end: int) -> int:
        """End of the longest beginning of a statement that parses; `start` if none does."""
        error = self._error(start, end)
        if error is None:
            return end
        if self._logical_end(start) >= end:  # One logical line has no shorter beginning that parses.
            return start
        while error is not None:
            end = start + self._lines_before(error, start, end)
            if self.steps > self._allowed:
                end = start + (end - start) // 2
            if end <= start:
                return start
            error = self._error(start, end)
        return end

    def _error(self, start: int, end: int) -> Unparsable | None:
        """The error of parsing a run; None if it parses."""
        self.steps += end - start
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                source = "\n".join(self.lines[start:end])
                compile(source, "<text>", "exec", flags=self._flags, dont_inherit=True)
        except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
            return error
        return None

    def _lines_before(self, error: Unparsable, start: int, end: int) -> int:
        """Upper bound of the lines from `start` that can parse if those up to `end` gave this error."""
        count = end - start
        if isinstance(error, SyntaxError):
            most = _lines_before(error, count)
            if most < count:
                return most
            if _OPEN_BLOCK.match(error.msg):
                return count - 1
        first = self._first_with(error, start, end)
        return first - 1

    def _first_with(self, error: Unparsable, start: int, end: int) -> int:
        """The fewest lines from `start` that give this error, which more lines cannot remove."""
        low = min(max((error.lineno or 1) if isinstance(error, SyntaxError) else 1, 1), end - start) - 1
        high, stride = low + 1, 1
        while high < end - start and not _alike(self._error(start, start + high), error):
            low, high, stride = high, min(high + stride, end - start), 2 * stride
        while high - low > 1:
            middle = (low + high) // 2
            if _alike(self._error(start, start + middle), error):
                high = middle
            else:
                low = middle
        return high

    def _without_blank_end(self, start: int, end: int, fewest: int) -> int:
        """The first end that parses and has as many lines of text as `end`."""
        first = end
        while first > start + fewest and self.filled[first - 1] == self.filled[end]:
            first -= 1
        candidates = range(first, end + 1)
        return next(line for line in candidates if line == end or self._error(start, line) is None)

    def _statement_end(self, line: int) -> int:
        """The next line that can begin a statement other than the one at `line`."""
        end = _followed(line, self._beyond, self._statement_ends)
        assert isinstance(end, tuple)
        return end[0]

    def _beyond(self, line: _Line) -> _Line | None:
        """For a decorator, the statement that it belongs to; for any other, its end in a tuple."""
        if isinstance(line, tuple):
            return None
        end = _followed(self._logical_end(line), self._further, self._beginnings)
        return end if self.lines[line].startswith(("@", "\\")) and end < len(self.lines) else (end,)

    def _further(self, line: int) -> int | None:
        """The logical line after one that belongs to the statement before it."""
        if line < len(self.lines) and _SKIPPED.match(self.lines[line]):
            return line + 1
        return self._logical_end(line) if self._goes_on(line) else None

    def _goes_on(self, line: int) -> bool:
        """Whether the line belongs to the statement before it."""
        line = _followed(line, self._joined, self._joins)
        return line < len(self.lines) and bool(_GOES_ON.match(self.lines[line]))

    def _joined(self, line: int) -> int | None:
        """The next line if this one is only a backslash: CPython then uses the next line's indentation."""
        return line + 1 if line < len(self.lines) and self.lines[line] == "\\" else None

    def _logical_end(self, line: int) -> int:
        """The line after the logical line that begins at `line`."""
        end = self._scan(line)
        return end if end >= 0 else ~end

    def _stays_open(self, line: int) -> bool:
        """Whether brackets or a string of this line stay open to the end of the text, or are too deep."""
        return self._scan(line) < 0

    def _scan(self, line: int) -> int:
        """The line after the logical line, or its complement if something stays open."""
        end = _followed((line, 0, ""), self._scanned, self._logical_ends)
        assert isinstance(end, int)
        return end

    def _scanned(self, state: _Scan) -> _Scan | None:
        """The state of the next line, from a line and its state (open brackets; open string or backslash).

        At the end of a logical line, the next line's number, or its complement if something stays open.
        """
        if isinstance(state, int):
            return None
        self.steps += 1
        line, depth, opened = state
        depth, opened = _after(self.lines[line], depth, opened)
        if depth == 0 and not opened:
            return line + 1
        return ~(line + 1) if depth > _DEEPEST or line + 1 >= len(self.lines) else (line + 1, depth, opened)


def _followed(start: S, step: Callable[[S], S | None], known: dict[S, S]) -> S:
    """The last state that steps from `start` reach; `known` remembers it, so that no step is repeated."""
    passed: list[S] = []
    while start not in known and (following := step(start)) is not None:
        passed.append(start)
        start = following
    end = known.get(start, start)
    known.update(dict.fromkeys(passed, end))
    return end


def _after(line: str, depth: int, opened: str) -> tuple[int, str]:
    """Open brackets, and an open quote or backslash, after a line; (0, "") if the logical line ended."""
    place = 0
    if opened in _REST_OF_STRING:
        place = _string_end(line, 0, opened)
        if place < 0:
            return _open_string(line, 0, depth, opened)
    while place < len(line):
        part = _PART.match(line, place)
        assert part is not None
        place = part.end()
        if part["joins"]:
            return depth, "\\"
        if part["open"]:
            depth += 1
        elif part["close"]:
            depth -= 1
        elif part[0] in _REST_OF_STRING:
            began, place = place, _string_end(line, place, part[0])
            if place < 0:
                return _open_string(line, began, depth, part[0])
        if depth < 0:
            return 0, ""
        if depth > _DEEPEST:
            return depth, ""
    return depth, ""


def _string_end(line: str, start: int, quote: str) -> int:
    found = _REST_OF_STRING[quote].match(line, start)
    return found.end() if found else -1


def _open_string(line: str, start: int, depth: int, quote: str) -> tuple[int, str]:
    """The state after an unclosed string; unless triple-quoted, a backslash must join the next line."""
    return (depth, quote) if len(quote) == 3 or _JOINS.match(line, start) else (0, "")


def _alike(error: Unparsable | None, other: Unparsable) -> bool:
    if isinstance(error, SyntaxError) and isinstance(other, SyntaxError):
        return (error.msg, error.lineno) == (other.msg, other.lineno)
    return type(error) is type(other)


_WHEREVER_IT_STANDS = re.compile(
    r"invalid syntax$|expected |unexpected indent$|unmatched |invalid character "
    r"|invalid non-printable character |invalid decimal literal$|too many nested parentheses$"
)
"""CPython's messages about the last token that it read, which no further text can correct."""
_STRING = re.compile(r"unterminated string literal \(detected at line (\d+)\)")
_OPEN = re.compile(r"'.' was never closed$|unterminated triple-quoted string literal")
"""Messages about something that stays open to the end of the text, and so to every earlier end."""
_OPEN_BLOCK = re.compile("expected |unexpected EOF")
"""Messages about the end of the text, which is elsewhere in a shorter text."""


def _lines_before(error: SyntaxError, lines: int) -> int:
    """Upper bound of the first lines that can parse if all of them gave this error."""
    line, message = error.lineno or 0, error.msg
    if line < 1:
        return lines
    if _OPEN.match(message):
        return line - 1
    if found := _STRING.match(message):
        line = int(found[1])
    elif not _WHEREVER_IT_STANDS.match(message):
        return lines
    return line if line < lines else lines
