"""Layers that mix tokens by a convolution or a recurrence, over a packed tree.

Over a tree, the token before another is its parent. The functions in which that matters are replaced;
everything else (projections, multipliers, gate, norm) stays the model's own code.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from evalsuite.engine.native import kernels
from evalsuite.engine.native.trees.delta import tree_delta
from evalsuite.engine.native.trees.functions import CONV, DELTA_RULES, MAMBA_2_SCAN, Function, replaced
from evalsuite.engine.native.trees.mamba import tree_conv, tree_scan
from evalsuite.engine.native.trees.tree import Tree
from evalsuite.engine.native.trees.walk import walk_of


@contextlib.contextmanager
def walking(model: Any, tree: Tree) -> Iterator[None]:
    """Within this context the convolutions and recurrences of a transformers `model` see `tree` in their
    row."""

    def counted(function: Function) -> Function:
        def counting(*args: Any, **options: Any) -> Any:
            tree.layers += 1
            return function(*args, **options)

        return counting

    def instead(function: Function) -> Callable[[Function], Function]:
        own = counted(function)
        return lambda usual: own

    with replaced(model, {name: instead(function) for name, function in over_a_tree(tree).items()}):
        yield


def over_a_tree(tree: Tree) -> dict[str, Function]:
    """What stands in for transformers' functions: kernels of our own on a GPU where there are some, torch
    elsewhere."""
    walk = cache(lambda: walk_of(tree))

    def by_torch(function: Function) -> Function:
        return lambda *args, **options: function(walk(), *args, **options)

    functions = dict.fromkeys(DELTA_RULES, by_torch(tree_delta))
    if tree.plain or kernels.unsupported_reason(str(tree.ids.device)):
        return functions | {CONV: by_torch(tree_conv), MAMBA_2_SCAN: by_torch(tree_scan)}
    from evalsuite.engine.native.trees.kernels.conv import path_conv
    from evalsuite.engine.native.trees.kernels.scan import path_scan
    from evalsuite.engine.native.trees.kernels.tables import tables_of

    tables = cache(lambda: tables_of(tree))
    return functions | {
        CONV: lambda *args, **options: path_conv(tables(), *args, **options),
        MAMBA_2_SCAN: lambda *args, **options: path_scan(tables(), *args, **options),
    }
