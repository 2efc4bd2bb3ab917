"""Finds the program in a generated text: EvalPlus's sanitiser, and NVIDIA's edit of it.

The longest run of lines that Python can parse is the program; of its top level only imports, classes,
functions that return something and assignments stay, in this order: imports first. The rules are those of
evalplus 0.3.1 (`sanitize.py`) and nvidia-lm-eval 25.5 (`filters/sanitize.py`), compared with both on generated
programs (`tests/scoring/test_sanitize.py`). They are restated here because evalplus parses every run of lines of
a text, which takes minutes on a long one, and because its package depends on four providers' API clients.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tree_sitter import Node

Dialect = Literal["evalplus", "nvidia"]

_FEWEST_LINES: dict[Dialect, int] = {"evalplus": 2, "nvidia": 1}
"""Lines of the shortest run that is looked at."""
_KEEPS_UNNAMED: dict[Dialect, bool] = {"evalplus": True, "nvidia": False}
"""Whether the first assignment that binds no plain name (`a, b = 1, 2`, `x.y = 1`) is kept."""

_IMPORTS = ("import_statement", "import_from_statement")


def sanitized(text: str, entry_point: str | None, dialect: Dialect) -> str:
    """The program in `text`.

    Args:
        text: what was generated, with what it continues.
        entry_point: keep only definitions that this function reaches through the names it uses; None keeps all.
        dialect: whose rules.
    """
    block = longest_parsing_block(text, _FEWEST_LINES[dialect])
    kept = "\n".join(_kept(block, entry_point, _KEEPS_UNNAMED[dialect])).strip()
    return kept or block


def longest_parsing_block(text: str, fewest_lines: int = 1) -> str:
    """The run of at least `fewest_lines` lines that Python parses and that has the most lines with text.

    Of equally long ones the first. Where nothing parses: the first line.
    """
    lines = text.split("\n")
    filled = list(accumulate((bool(line.strip()) for line in lines), initial=0))
    most, block = 0, (0, 1)
    for start in range(len(lines)):
        if filled[-1] - filled[start] <= most:
            break
        end = _longest_end(lines, filled, start, most, fewest_lines)
        if end:
            most, block = filled[end] - filled[start], (start, end)
    return "\n".join(lines[slice(*block)])


def _longest_end(lines: Sequence[str], filled: Sequence[int], start: int, most: int, fewest: int) -> int:
    """End (exclusive) of the longest run from `start` with more than `most` lines of text; 0 if there is none."""
    end = len(lines)
    while end - start >= fewest and filled[end] - filled[start] > most:
        longest = _parsing_lines(lines[start:end])
        if longest == end - start:
            return _without_blank_end(lines, filled, start, end, fewest)
        end = start + longest
    return 0


def _without_blank_end(lines: Sequence[str], filled: Sequence[int], start: int, end: int, fewest: int) -> int:
    """The first end that has as many lines of text as `end` and parses too."""
    first = max(start + fewest, filled.index(filled[end]))
    return next(one for one in range(first, end + 1) if _parsing_lines(lines[start:one]) == one - start)


_WHEREVER_IT_STANDS = re.compile(
    r"invalid syntax$|expected |unexpected indent$|unmatched |invalid character |invalid non-printable character "
    r"|invalid decimal literal$|too many nested parentheses$"
)
"""Messages of CPython that it gives at the last token it has read: what follows cannot make it right."""
_STRING = re.compile(r"unterminated string literal \(detected at line (\d+)\)")
_OPEN = re.compile(r"'.' was never closed$|unterminated triple-quoted string literal")
"""What was opened stays open to the end of the text, and so to every earlier end after the opening."""


def _parsing_lines(lines: Sequence[str]) -> int:
    """`len(lines)` if they parse, else a smaller number: no more of them than that parse from the first on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse("\n".join(lines))
    except SyntaxError as error:
        return min(len(lines) - 1, _lines_before(error, len(lines)))
    except (ValueError, MemoryError, RecursionError, OverflowError):  # null bytes, or nesting without end
        return len(lines) - 1
    return len(lines)


def _lines_before(error: SyntaxError, lines: int) -> int:
    """Most lines, from the first on, that may parse although all of them gave this error."""
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


def _kept(code: str, entry_point: str | None, keeps_unnamed: bool) -> Iterator[str]:
    """Imports, then the wanted definitions, as they stand in the code; the first of a name is its definition."""
    source = code.encode("utf-8", errors="replace")
    imports, definitions = _top_level(source)
    if not keeps_unnamed:
        definitions.pop(None, None)
    wanted = _reachable(entry_point, definitions) if entry_point else definitions.keys()
    kept = [*imports, *(node for name, node in definitions.items() if name in wanted)]
    return (source[node.start_byte : node.end_byte].decode("utf-8") for node in kept)


def _top_level(source: bytes) -> "tuple[list[Node], dict[str | None, Node]]":
    """Import statements, and definitions by name."""
    import tree_sitter_python
    from tree_sitter import Language, Parser

    imports: list[Node] = []
    definitions: dict[str | None, Node] = {}
    for node in Parser(Language(tree_sitter_python.language())).parse(source).root_node.children:
        if node.type in _IMPORTS:
            imports.append(node)
        elif definition := _definition(node):
            definitions.setdefault(_name(definition), definition)
    return imports, definitions


def _definition(node: "Node") -> "Node | None":
    """The class, the function that returns something, or the assignment that a statement is."""
    match node.type:
        case "class_definition":
            return node
        case "function_definition":
            return node if any(one.type == "return_statement" for one in _descendants(node)) else None
        case "expression_statement" if node.children and node.children[0].type == "assignment":
            return node.children[0]
    return None


def _name(definition: "Node") -> str | None:
    """The first plain name among its parts: of `x.y = z` that is `z`, as the references have it."""
    names = (child.text for child in definition.children if child.type == "identifier")
    name = next(names, None)
    return name.decode("utf-8") if name is not None else None


def _reachable(entry_point: str, definitions: "dict[str | None, Node]") -> set[str | None]:
    """The names that the entry point's definition leads to, itself included."""
    reached: set[str | None] = {entry_point}
    waiting = [entry_point]
    while waiting:
        node = definitions.get(waiting.pop())
        new = set(_identifiers(node)) - reached if node else set()
        reached |= new
        waiting += new
    return reached


def _identifiers(node: "Node") -> Iterable[str]:
    return (one.text.decode("utf-8") for one in _descendants(node) if one.type == "identifier" and one.text)


def _descendants(node: "Node") -> "Iterator[Node]":
    """The node and all below it, without recursion: model-written code can be nested deeply."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += one.children
