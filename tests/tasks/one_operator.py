"""Programs that differ from a right one in a single operator."""

import ast
import random
from collections.abc import Iterator

_OTHER: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}


def with_one_operator_changed(program: str, seed: int) -> str | None:
    """The program with an operator, chosen by the seed, replaced; None where it has none."""
    tree = ast.parse(program)
    places = list(_places(tree))
    if not places:
        return None
    node, position = random.Random(seed).choice(places)
    if isinstance(node, ast.Compare):
        node.ops[position] = _OTHER[type(node.ops[position])]()
    else:
        node.op = _OTHER[type(node.op)]()
    return ast.unparse(tree)


def _places(tree: ast.AST) -> Iterator[tuple[ast.AST, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield from ((node, place) for place, one in enumerate(node.ops) if type(one) in _OTHER)
        elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _OTHER:
            yield node, 0
