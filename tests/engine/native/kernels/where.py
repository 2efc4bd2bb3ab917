"""Where the kernels' tests run: on a GPU, else in Triton's interpreter, which `make test-kernels` brings.

Triton decides when it is imported, so that one process does one of the two.
"""

import os

import numpy as np
import pytest
import torch

from evalsuite.engine.native.trees import walk as tree_walk
from evalsuite.engine.native.trees.kernels.tables import Tables, tables_of
from evalsuite.engine.native.trees.tree import tree_of
from evalsuite.engine.native.trees.walk import Walk, walk_of
from tests.engine.native.trees.test_mamba import tree_over

pytest.importorskip("triton", reason="triton is not installed; `make test-kernels` brings it")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
if not INTERPRETED and not torch.cuda.is_available():
    pytest.skip("no GPU; `make test-kernels` uses Triton's interpreter", allow_module_level=True)

DEVICE = "cpu" if INTERPRETED else "cuda"
OF_SCALE = 1e-5
"""Largest difference from torch, as a share of the largest result, of float32."""
HALF_OF_SCALE = 5e-4
"""The same of half precision, where one factor of each product is rounded to tf32: half of its last bit."""


def _compute_bfloat16() -> None:
    """Repair Triton's interpreter: it truncates to bfloat16, and multiplies the bits of its matrices."""
    from triton.runtime import interpreter

    convert, dot = interpreter._convert_float, interpreter.InterpreterBuilder.create_dot

    def rounded(data, given, wanted, rounding):
        if (given.name, wanted.name) != ("fp32", "bf16"):
            return convert(data, given, wanted, rounding)
        exact = torch.from_numpy(np.array(data, dtype=np.float32))
        return exact.bfloat16().view(torch.uint16).numpy().reshape(data.shape)

    def exact(handle):
        if handle.dtype.name != "bf16":
            return handle
        bits = torch.from_numpy(np.array(handle.data)).view(torch.bfloat16)
        return interpreter.TensorHandle(bits.float().numpy(), interpreter.tl.float32)

    interpreter._convert_float = rounded
    interpreter.InterpreterBuilder.create_dot = lambda self, a, b, *rest: dot(self, exact(a), exact(b), *rest)


def _index_by_one_value() -> None:
    """Repair Triton 3.6's interpreter: NumPy 2.4 makes no index of an array of one value."""
    from triton.runtime import interpreter

    patch = interpreter._patch_lang_tensor

    def patched(tensor, scope):
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = patched


if INTERPRETED:
    _compute_bfloat16()
    _index_by_one_value()


def tables_over(sequences, chunk: int = 64) -> tuple[Tables, Walk, int]:
    """One tree as kernels and as torch read it, and its tokens."""
    tree, _ = tree_over(sequences)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree_walk, "CHUNK", chunk)
        return tables_of(tree_of(tree.pack, DEVICE)), walk_of(tree), len(tree.pack)


def there(inputs: dict) -> dict:
    """Tensors on the device, the rest as it is."""
    return {
        name: value.to(DEVICE) if isinstance(value, torch.Tensor) else value for name, value in inputs.items()
    }


def assert_near(found: torch.Tensor, expected: torch.Tensor, of_scale: float = OF_SCALE) -> None:
    scale = max(1.0, expected.abs().max().item()) if expected.numel() else 1.0
    torch.testing.assert_close(found.float().cpu(), expected.float(), rtol=0, atol=of_scale * scale)
