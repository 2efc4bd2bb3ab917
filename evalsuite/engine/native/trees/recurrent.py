"""Layers that mix tokens by a convolution or a recurrence, over a packed tree.

Over a tree, the predecessor of a token is its parent. Only the functions in which that matters are replaced;
everything else (projections, multipliers, gate, norm) remains the model's own code.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch

from evalsuite.engine.native.trees.delta import tree_delta
from evalsuite.engine.native.trees.functions import CONV, DELTA_RULES, MAMBA_2_SCAN, Function, replaced
from evalsuite.engine.native.trees.mamba import tree_conv, tree_scan
from evalsuite.engine.native.trees.tree import Tree
from evalsuite.engine.native.trees.walk import walk_of


@contextlib.contextmanager
def walking(model: Any, tree: Tree) -> Iterator[None]:
    """Within this context the convolutions and recurrences of a transformers `model` follow `tree`."""

    def counted(name: str, function: Function) -> Function:
        def counting(*args: Any, **options: Any) -> Any:
            tree.layers += 1
            if name not in DELTA_RULES:
                tree.ran.add(("scan", tree.paths.scan))
            return function(*args, **options)

        return counting

    def always(name: str, function: Function) -> Callable[[Function], Function]:
        replacement = counted(name, function)
        return lambda original: replacement

    with replaced(model, {name: always(name, function) for name, function in over_a_tree(tree).items()}):
        yield


def over_a_tree(tree: Tree) -> dict[str, Function]:
    """Replacements of transformers' functions, by kernels or torch functions as the tree's paths say."""
    walk = cache(lambda device: walk_of(tree.on(device)))

    def by_torch(function: Function) -> Function:
        return lambda *args, **options: function(walk(_device_of(args, options)), *args, **options)

    functions = dict.fromkeys(DELTA_RULES, by_torch(tree_delta))
    if tree.paths.scan != "kernels":
        return functions | {CONV: by_torch(tree_conv), MAMBA_2_SCAN: by_torch(tree_scan)}
    from evalsuite.engine.native.trees.kernels.conv import path_conv
    from evalsuite.engine.native.trees.kernels.scan import path_scan
    from evalsuite.engine.native.trees.kernels.tables import tables_of

    tables = cache(lambda device: tables_of(tree.on(device)))

    def by_kernels(function: Function) -> Function:
        return lambda *args, **options: function(tables(_device_of(args, options)), *args, **options)

    return functions | {CONV: by_kernels(path_conv), MAMBA_2_SCAN: by_kernels(path_scan)}


def _device_of(args: Sequence[Any], options: Mapping[str, Any]) -> str:
    """The device of a layer's tensors: layers may be on several (`--device spread`)."""
    return next(str(part.device) for part in (*args, *options.values()) if isinstance(part, torch.Tensor))
