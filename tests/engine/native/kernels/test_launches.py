"""What a decoder layer launches over a packed tree, before and after its pointwise work is fused.

Counted on the CPU, in bfloat16: operations of torch that compute something (on a GPU, a launch each), and
launches of Triton's interpreter. Attention counts as one launch, whatever computes it.
"""

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from evalsuite.engine.native.loading import load
from evalsuite.engine.native.paths import PLAIN, Paths
from evalsuite.engine.native.score_packed import run_body
from evalsuite.engine.native.trees import attention
from evalsuite.engine.native.trees.tree import tree_of
from tests.engine.native.hybrids import nemotron_h
from tests.engine.native.kernels.where import DEVICE, INTERPRETED
from tests.engine.native.trees.test_mamba import tree_over
from tests.engine.tiny import tiny_llama

if not INTERPRETED:
    pytest.skip("counts the interpreter's launches", allow_module_level=True)

from triton.runtime.interpreter import InterpretedFunction

NO_LAUNCH = {"empty", "empty_like", "new_empty"}
"""Operations that compute nothing although their result is new."""
SEQUENCES = [(*range(2, 90),), (*range(2, 80), 100, 101), (200, 201)]


def is_view(function: torch._ops.OpOverload, result: object, arguments: tuple) -> bool:
    """Whether an operation computed nothing, since its result is its first argument, or a view of it."""
    part = result[0] if isinstance(result, (list, tuple)) else result
    if function._schema.is_mutable or not all(
        isinstance(one, torch.Tensor) for one in (part, *arguments[:1])
    ):
        return False
    return bool(arguments) and part.untyped_storage().data_ptr() == arguments[0].untyped_storage().data_ptr()


class Recorder(TorchDispatchMode):
    """Names of what is launched, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result, name = function(*arguments, **(options or {})), function.overloadpacket.__name__
        if name not in NO_LAUNCH and not is_view(function, result, arguments):
            self.names.append(name)
        return result

    @contextlib.contextmanager
    def one(self, name: str) -> Iterator[None]:
        """What runs in this context counts once."""
        self.names.append(name)
        with _disable_current_modes():
            yield


@torch.inference_mode()
def launches(model: torch.nn.Module, layers: list[torch.nn.Module], paths: Paths) -> list[list[str]]:
    """Names of what each decoder layer launches in a pass over a tree."""
    recorder, edges = Recorder(), []
    run, attend = InterpretedFunction.run, attention.tree_attention

    def recorded(kernel, *args, **options):
        with recorder.one(kernel.fn.__name__):
            return run(kernel, *args, **options)

    def attended(*args, **options):
        with recorder.one("attention"):
            return attend(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        for for_cpus in ("use_onednn", "fuse_gates"):
            patch.setattr(load, for_cpus, lambda model: None)
        loaded, (tree, _) = load.ready(model.to(DEVICE, torch.bfloat16), DEVICE), tree_over(SEQUENCES)
    run_body(loaded, tree_of(tree.pack, DEVICE, paths))  # modules are tried in the first pass
    handles = [
        handle
        for layer in layers
        for handle in (
            layer.register_forward_pre_hook(lambda *_: edges.append(len(recorder.names))),
            layer.register_forward_hook(lambda *_: edges.append(len(recorder.names))),
        )
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InterpretedFunction, "run", recorded)
        attention.AttentionInterface.register(attention.NAME, attended)
        try:
            with recorder:
                run_body(loaded, tree_of(tree.pack, DEVICE, paths))
        finally:
            attention.AttentionInterface.register(attention.NAME, attend)
            for handle in handles:
                handle.remove()
    return [recorder.names[start:stop] for start, stop in zip(edges[::2], edges[1::2], strict=True)]


NORM = ["to", "pow", "mean", "add", "rsqrt", "mul", "to", "mul"]
GATED_NORM = ["to", "silu", "mul", "pow", "mean", "add", "rsqrt", "mul", "mul", "to"]
"""The scan's result is float32 already; the norm's is float32, too, and rounded by the mixer."""
ROTATION = ["mul", "neg", "cat", "mul", "add"]
DECAYS = ["to", "exp", "neg"]
SCAN = ["_conv", "steps_and_sums", "final_states", "outputs"]


def test_the_layers_of_nemotron_h():
    model, scan = nemotron_h(), PLAIN.using("scan", "kernels")
    norm = ["to", "pow", "mean", "add", "rsqrt", "mul", "to", "mul", "to"]  # of transformers 5.23
    before = launches(model, [*model.model.layers], scan)
    assert before[2] == [*norm, "linear", *DECAYS, *SCAN, *GATED_NORM, "linear", "add"]
    assert before[1] == [*norm, "linear", "relu", "square", "linear", "add"]
    assert before[3] == [*norm, *["linear"] * 3, "attention", "linear", "add"]
    after = launches(model, [*model.model.layers], scan.using("pointwise", "kernels"))
    assert after[2] == ["normalise", "linear", *DECAYS, *SCAN, "normalise", "linear", "add"]
    assert after[1] == ["normalise", "linear", "activate", "linear", "add"]
    assert after[3] == ["normalise", *["linear"] * 3, "attention", "linear", "add"]
    kinds = {"Mamba-2": 2, "MLP": 1, "attention": 3}
    counts = {kind: (len(before[place]), len(after[place])) for kind, place in kinds.items()}
    assert counts == {"Mamba-2": (29, 12), "MLP": (14, 5), "attention": (15, 7)}


def test_a_layer_of_llama():
    model = tiny_llama()
    before, after = (
        launches(model, [*model.model.layers], paths)[0]
        for paths in (PLAIN, PLAIN.using("pointwise", "kernels"))
    )
    mlp = ["linear", "silu", "linear", "mul", "linear", "add"]
    assert before == [*NORM, *["linear"] * 3, *ROTATION * 2, "attention", "linear", "add", *NORM, *mlp]
    fused = ["linear", "linear", "activate", "linear", "add"]
    assert after == [
        "normalise",
        *["linear"] * 3,
        "rotate",
        "attention",
        "linear",
        "add",
        "normalise",
        *fused,
    ]
    assert (len(before), len(after)) == (38, 14)
