"""The program that torch generates for FlexAttention over a tree compiles for an A100 and an H100."""

import os

import pytest
import torch

from evalsuite.engine.native.trees.tree import tree_of
from tests.engine.native.trees.test_flex import parts
from tests.engine.native.trees.test_levels import pack_of

triton = pytest.importorskip("triton", reason="triton is not installed; `make test-kernels` brings it")
if torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("kernels run for real or in the interpreter here", allow_module_level=True)

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from tests.engine.native.kernels.generated_flex import OPTIONS, ROWS, program_of, source_of  # noqa: E402

LARGEST_SHARED = {80: 163 * 1024, 90: 227 * 1024}
"""Bytes of shared memory that a program may have, by compute capability: A100, H100."""
CASES = [(name, torch.bfloat16, 128) for name in OPTIONS] + [("full", torch.float32, 64)]
"""Options, data type, and width of a head."""


@pytest.mark.parametrize("capability", LARGEST_SHARED, ids=lambda capability: f"sm_{capability}")
@pytest.mark.parametrize(("name", "dtype", "width"), CASES, ids=str)
def test_the_generated_program_compiles(name, dtype, width, capability, tmp_path):
    pack = pack_of(ROWS)
    inputs = parts(len(pack), width=width, value_width=width, dtype=dtype)
    source = source_of(tree_of(pack, "cpu"), inputs, capability, scale=0.3, **OPTIONS[name])
    program, said = program_of(source, tmp_path)
    compiled = triton.compile(
        ASTSource(program, said["triton_meta"]["signature"], {}, said["triton_meta"]["configs"][0]),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": said["num_warps"], "num_stages": said["num_stages"]},
    )
    assert compiled.asm["cubin"]
    assert compiled.metadata.shared <= LARGEST_SHARED[capability]
