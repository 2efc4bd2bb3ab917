"""Finds the program in a generated text with EvalPlus's sanitizer, NVIDIA's edit of it, or evalsuite's own.

The program is the longest run of lines that Python can parse. The reference sanitizers go further: they keep
only imports, classes, functions that return a value and assignments of its top level, with imports first. The
rules are those of evalplus 0.3.1 (`sanitize.py`) and nvidia-lm-eval 25.5 (`filters/sanitize.py`), compared
with both on generated programs (`tests/scoring/test_sanitize.py`). evalsuite implements them itself, because
evalplus parses every run of lines of a text, which takes minutes for a long text, and because its package
depends on the API clients of four providers.
"""

import ast
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from evalsuite.scoring.blocks import ParsableBlocks
from evalsuite.scoring.cpu_limit import OutOfTime, cpu_limit

if TYPE_CHECKING:
    from tree_sitter import Node

Dialect = Literal["evalplus", "nvidia", "python"]

_FEWEST_LINES: dict[str, int] = {"evalplus": 2, "nvidia": 1}
"""Number of lines of the shortest run."""
_KEEPS_UNNAMED: dict[str, bool] = {"evalplus": True, "nvidia": False}
"""Whether to keep the first assignment that binds no plain name (`a, b = 1, 2`, `x.y = 1`)."""

_IMPORTS = ("import_statement", "import_from_statement")


def sanitized(text: str, entry_point: str | None, dialect: Dialect) -> str:
    """The program in `text`.

    Args:
        text: the generated text with the prompt that it continues.
        entry_point: keep only definitions that this function reaches through the names it uses; None keeps
            all. For dialect `python`: the function that the program should define.
        dialect: the sanitizer.
    """
    if dialect == "python":
        return as_python_runs_it(text, entry_point)
    block = longest_parsing_block(text, _FEWEST_LINES[dialect])
    kept = "\n".join(_kept(block, entry_point, _KEEPS_UNNAMED[dialect])).strip()
    return kept or block


def sanitized_within(seconds: float, text: str, entry_point: str | None, dialect: Dialect) -> str:
    """`sanitized` within a limit of CPU time; the unchanged text if it needs more time or memory."""
    try:
        with cpu_limit(seconds):
            return sanitized(text, entry_point, dialect)
    except (OutOfTime, MemoryError):
        return text


def as_python_runs_it(text: str, entry_point: str | None = None) -> str:
    """The longest run of lines that Python can run, preferably one that defines the entry point.

    It is kept completely. But code that demonstrates or tests the program (an expression, an `assert`, code
    after the last definition) is put into a `try`, so that its failure does not affect the definitions.
    """
    name = re.escape(entry_point) if entry_point else "(?!)"
    defines = re.compile(
        rf"\s*(?:(?:async\s+)?def|class)\s+{name}\b|{name}\b[^=]*=(?!=)|\s*(?:from|import)\b.*\b{name}\b"
    )
    block = ParsableBlocks(_newlines(text), compiles=True).longest(1, defines)
    try:
        return _with_tries(block)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return block


def _newlines(text: str) -> str:
    """The text with Python's line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def _with_tries(block: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statements = ast.parse(block).body
    last = max((n for n, node in enumerate(statements) if isinstance(node, _DEFINITIONS)), default=-1)
    lines, alone = block.split("\n"), _alone_on_their_lines(statements)
    for number in reversed(range(len(statements))):
        node = statements[number]
        tests = isinstance(node, ast.Assert) or (
            isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
        )
        if (tests or number > last >= 0) and alone[number]:
            assert node.end_lineno is not None
            tried = ast.Try([node], [ast.ExceptHandler(_FAILURES, None, [ast.Pass()])], [], [])
            lines[node.lineno - 1 : node.end_lineno] = [ast.unparse(ast.fix_missing_locations(tried))]
    return "\n".join(lines)


_FAILURES = ast.Tuple([ast.Name("Exception", ast.Load()), ast.Name("SystemExit", ast.Load())], ast.Load())


def _alone_on_their_lines(statements: Sequence[ast.stmt]) -> list[bool]:
    """Whether each statement shares no line with another."""
    ends = [0, *(node.end_lineno or 0 for node in statements)]
    begins = [*(node.lineno for node in statements), math.inf]
    return [
        ends[n] < node.lineno and (node.end_lineno or 0) < begins[n + 1] for n, node in enumerate(statements)
    ]


def longest_parsing_block(text: str, fewest_lines: int = 1) -> str:
    """The first run of at least `fewest_lines` lines that parses and has the most lines with text.

    If nothing parses, the first line.
    """
    return ParsableBlocks(text).longest(fewest_lines)


def _kept(code: str, entry_point: str | None, keeps_unnamed: bool) -> Iterator[str]:
    """Imports, then the definitions to keep, as in the code; the first one of a name counts."""
    source = code.encode("utf-8", errors="replace")
    imports, definitions = _top_level(source)
    if not keeps_unnamed:
        definitions.pop(None, None)
    needed = _reachable(entry_point, definitions) if entry_point else definitions.keys()
    kept = [*imports, *(node for name, node in definitions.items() if name in needed)]
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
    """The statement's class, function that returns a value, or assignment; None if it is none of these."""
    match node.type:
        case "class_definition":
            return node
        case "function_definition":
            return node if any(n.type == "return_statement" for n in _descendants(node)) else None
        case "expression_statement" if node.children and node.children[0].type == "assignment":
            return node.children[0]
    return None


def _name(definition: "Node") -> str | None:
    """The first plain name among the definition's parts; for `x.y = z` that is `z`, as in the references."""
    names = (child.text for child in definition.children if child.type == "identifier")
    name = next(names, None)
    return name.decode("utf-8") if name is not None else None


def _reachable(entry_point: str, definitions: "dict[str | None, Node]") -> set[str | None]:
    """The names that the entry point's definition reaches, with the entry point."""
    reached: set[str | None] = {entry_point}
    waiting = [entry_point]
    while waiting:
        node = definitions.get(waiting.pop())
        new = set(_identifiers(node)) - reached if node else set()
        reached |= new
        waiting += new
    return reached


def _identifiers(node: "Node") -> Iterable[str]:
    return (n.text.decode("utf-8") for n in _descendants(node) if n.type == "identifier" and n.text)


def _descendants(node: "Node") -> "Iterator[Node]":
    """The node and all nodes below it, without recursion, since model-written code can be nested deeply."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting += current.children
