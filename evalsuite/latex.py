r"""The boxed answers of a worked solution in LaTeX."""

import re
from typing import NamedTuple

_TOKEN = re.compile(r"\\(?:f?boxed|fbox)\s*\{|\\boxed\s+(\w)|\\.|[{}]", re.DOTALL)


class Box(NamedTuple):
    """The content of a box and its position in the text."""

    start: int
    end: int
    content: str


def boxes(text: str) -> list[Box]:
    r"""The outermost closed `\boxed{...}`, in order.

    `\fbox{...}` and `\boxed 5` count too. `\{` and `\}` are set signs, not grouping braces.
    """
    found: list[Box] = []
    open_braces: list[int | None] = []
    """For each open brace, the start of its box's content; None if the brace opens no box."""
    for token in _TOKEN.finditer(text):
        sign = token.group()
        if token[1]:
            found.append(Box(*token.span(1), token[1]))
        elif sign[-1] == "{" and sign != r"\{":
            open_braces.append(token.end() if len(sign) > 1 else None)
        elif sign == "}" and open_braces:
            start = open_braces.pop()
            if start is not None:
                while found and found[-1].start >= start:  # a box within this one
                    found.pop()
                found.append(Box(start, token.start(), text[start : token.start()]))
    return found


def extract_boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{...}`, braces balanced; None if there is none or it is not closed.

    Follows the reference implementations; our own scorers use `boxes`.
    """
    opening = r"\boxed{"
    start = text.rfind(r"\boxed")
    if start < 0 or not text.startswith(opening, start):
        return None
    depth = 0
    for brace in re.finditer("[{}]", text[start:]):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return text[start + len(opening) : start + brace.start()]
    return None
