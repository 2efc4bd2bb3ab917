"""Layers that mix tokens by a convolution or a recurrence, over a packed tree.

Over a tree, the token before another is its parent. transformers' mixers call convolutions and recurrences as functions
of their module; these are replaced, and everything else (projections, multipliers, gate, norm) stays the model's code.
"""

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

from evalsuite.engine import kernels
from evalsuite.engine.trees.delta import tree_delta
from evalsuite.engine.trees.functions import CONV, DELTA_RULES, MAMBA_2_SCAN, RECURRENCES
from evalsuite.engine.trees.mamba import tree_conv, tree_scan
from evalsuite.engine.trees.tree import Tree
from evalsuite.engine.trees.walk import walk_of

_current = threading.local()


@contextlib.contextmanager
def walking(model: Any, tree: Tree) -> Iterator[None]:
    """Within this context the convolutions and recurrences of a transformers `model` see `tree` in their row."""
    modules = {sys.modules[type(layer).__module__] for layer in model.modules()}
    mixing = [_patch_module(module) for module in modules]
    _current.over_the_tree = over_a_tree(tree) if any(mixing) else {}
    try:
        yield
    finally:
        _current.over_the_tree = {}


def over_a_tree(tree: Tree) -> dict[str, Callable[..., Any]]:
    """What stands in for transformers' functions: kernels of our own on a GPU where there are some, torch elsewhere."""

    @cache
    def walk() -> Any:
        return walk_of(tree)

    def by_torch(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **options: function(walk(), *args, **options)

    functions: dict[str, Callable[..., Any]] = dict.fromkeys(DELTA_RULES, by_torch(tree_delta))
    if tree.plain or kernels.why_not(str(tree.ids.device)):
        functions |= {CONV: by_torch(tree_conv), MAMBA_2_SCAN: by_torch(tree_scan)}
    else:
        from evalsuite.engine.kernels.conv import path_conv
        from evalsuite.engine.kernels.scan import path_scan
        from evalsuite.engine.kernels.tables import tables_of

        tables = tables_of(tree)
        functions |= {CONV: partial(path_conv, tables), MAMBA_2_SCAN: partial(path_scan, tables)}
    return {name: _counted(tree, function) for name, function in functions.items()}


def _counted(tree: Tree, function: Callable[..., Any]) -> Callable[..., Any]:
    def counting(*args: Any, **options: Any) -> Any:
        tree.layers += 1
        return function(*args, **options)

    return counting


def _patch_module(module: Any) -> bool:
    """Let a module's functions do, within `walking` and in its thread alone, what `over_a_tree` says; if it has any."""
    names = [name for name in (CONV, *RECURRENCES) if hasattr(module, name)]
    for name in names:
        usual = getattr(module, name)
        if not hasattr(usual, "walks"):
            setattr(module, name, _either(name, usual))
    return bool(names)


def _either(name: str, usual: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(usual)
    def chosen(*args: Any, **options: Any) -> Any:
        return getattr(_current, "over_the_tree", {}).get(name, usual)(*args, **options)

    chosen.walks = True  # type: ignore[attr-defined]
    return chosen
