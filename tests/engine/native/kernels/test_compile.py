"""Every launch compiles for an A100 and an H100, which takes no GPU: Triton brings its compiler, and the
interpreter forgives more.

What is launched is found by launching it, with compilation in the place of execution.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
import torch

from evalsuite.engine.native.trees.kernels.tables import tables_of
from tests.engine.native.trees.test_mamba import tree_over

triton = pytest.importorskip("triton", reason="triton is not installed; `make test-kernels` brings it")
if torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("kernels run for real or in the interpreter here", allow_module_level=True)

from triton import knobs  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.runtime import driver  # noqa: E402
from triton.runtime.jit import JITFunction  # noqa: E402

from evalsuite.engine.native.kernels.log_sums import log_sums_of  # noqa: E402
from evalsuite.engine.native.kernels.pointwise.functions import (  # noqa: E402
    activated,
    rms_norm,
    rotated,
)
from evalsuite.engine.native.slots.kernels.conv_update import conv_update  # noqa: E402
from evalsuite.engine.native.slots.kernels.state_update import state_update  # noqa: E402
from evalsuite.engine.native.trees.kernels.conv import path_conv  # noqa: E402
from evalsuite.engine.native.trees.kernels.merge import merge_in_place  # noqa: E402
from evalsuite.engine.native.trees.kernels.scan import path_scan  # noqa: E402

LARGEST_SHARED = {80: 163 * 1024, 90: 227 * 1024}
"""Bytes of shared memory that a program may have, by compute capability: A100, H100."""

MOST_REGISTERS = 255
"""Registers that a thread may have."""


class NoGpu:
    """What Triton asks a driver before it compiles."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        return self.capability  # Triton keeps compiled kernels by device

    def get_current_stream(self, device: int) -> int:
        return 0


def assert_fits(compiled: list, capability: int, folder: Path, spilled: int = 0) -> None:
    """Programs fit into shared memory, and keep at most so many bytes of a thread's registers in memory."""
    for one in compiled:
        assert one.metadata.shared <= LARGEST_SHARED[capability]
        cubin = folder / "program.cubin"
        cubin.write_bytes(one.asm["cubin"])
        command = [knobs.nvidia.cuobjdump.path, "-res-usage", str(cubin)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        registers, stack = map(int, re.search(r"REG:(\d+) STACK:(\d+)", said).groups())
        assert registers < MOST_REGISTERS or stack <= spilled


def loads_come_first(ptx: str) -> bool:
    """Whether all threads of a program that writes in place have loaded before any of them stores.

    Threads may hold copies of the same values, so that one could store where another has yet to load.
    """
    return "bar.sync" in ptx[ptx.rindex("ld.global") : ptx.index("st.global")]


@pytest.fixture(params=LARGEST_SHARED, ids=lambda capability: f"sm_{capability}")
def capability(request) -> int:
    return request.param


@pytest.fixture
def compiled(monkeypatch, capability) -> list:
    """Kernels as they are compiled, in the order of their launches."""
    found, run = [], JITFunction.run

    def compile_only(self, *args, grid, warmup, **options):
        found.append(run(self, *args, grid=grid, warmup=True, **options))
        return found[-1]

    monkeypatch.setattr(JITFunction, "run", compile_only)
    driver.set_active(NoGpu(capability))
    return found


SHAPES = {
    "Nemotron-H 8B": (torch.bfloat16, 128, 64, 8, 128),
    "Nemotron-H 47B and 56B": (torch.bfloat16, 256, 64, 8, 256),
    "one group, float32": (torch.float32, 24, 64, 1, 128),
    "tiny": (torch.float32, 8, 8, 2, 16),
}
"""Data type, heads, width of a head, groups, size of the state."""


@pytest.mark.parametrize("shape", SHAPES)
def test_a_layer_over_a_tree(shape, compiled, capability, tmp_path):
    dtype, heads, width, groups, state = SHAPES[shape]
    tree, _ = tree_over([tuple(range(100)), (*range(70), 200, 201), (900,)])
    tables, tokens = tables_of(tree), len(tree.pack)
    sizes = [heads * width, groups * state, groups * state]
    rows = torch.zeros(1, tokens, sum(sizes), dtype=dtype)
    weight = torch.zeros(sum(sizes), 4, dtype=dtype)
    path_conv(tables, rows.transpose(1, 2), weight, weight[:, 0].contiguous(), activation="silu")
    x, B, C = rows.split(sizes, dim=-1)
    by_head = torch.zeros(heads, dtype=dtype)
    path_scan(
        tables,
        x.unflatten(-1, (heads, width)),
        torch.zeros(1, tokens, heads, dtype=dtype),
        by_head.float(),
        B.unflatten(-1, (groups, state)),
        C.unflatten(-1, (groups, state)),
        by_head,
        by_head,
        dt_softplus=True,
    )
    assert [one.metadata.name for one in compiled] == [
        "_conv",
        "steps_and_sums",
        "final_states",
        "outputs",
    ]
    # In float32 each product is three, and Triton 3.6 spills some registers of `outputs` on an H100.
    assert_fits(compiled, capability, tmp_path, spilled=96 if dtype == torch.float32 else 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_log_sums(dtype, compiled, capability, tmp_path):
    log_sums_of(torch.zeros(2, 131072, dtype=dtype))
    assert len(compiled) == 1
    assert_fits(compiled, capability, tmp_path)


NORMS = {
    "Nemotron-H 8B": (4096, 8192, 8, 21504),
    "Nemotron-H 47B": (8192, 16384, 8, 30720),
    "Nemotron-H 56B": (8192, 16384, 8, 32768),
    "Llama 8B": (4096, 4096, 1, 14336),
}
"""Width of the model, channels of a Mamba-2 layer, groups of its norm, and width of an MLP."""


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", NORMS)
def test_pointwise_work(shape, dtype, compiled, capability, tmp_path):
    width, channels, groups, inner = NORMS[shape]
    rows, weight = torch.zeros(1, 3, width, dtype=dtype), torch.zeros(width, dtype=dtype)
    for rounded, plus_one in ((True, False), (False, False), (False, True)):
        rms_norm(rows, weight, 1e-5, rounded=rounded, plus_one=plus_one)
    scanned, weight = torch.zeros(1, 3, channels), torch.zeros(channels, dtype=dtype)
    gate = torch.zeros(1, 3, 2 * channels + 64, dtype=dtype)[..., :channels]
    rms_norm(scanned, weight, 1e-5, rounded=True, gate=gate, groups=groups, dtype=dtype)
    gate_and_up = torch.zeros(1, 3, 2 * inner, dtype=dtype)
    activated(gate_and_up[..., :inner], "squared_relu")
    for activation in ("silu", "gelu", "gelu_tanh"):
        activated(gate_and_up[..., :inner], activation, gate_and_up[..., inner:])
    q, k = (torch.zeros(1, 3, heads, 128, dtype=dtype).transpose(1, 2) for heads in (32, 8))
    for columns in (128, 64):
        rotated(q, k, *torch.zeros(2, 1, 3, columns, dtype=dtype), rounded=True)
    assert [one.metadata.name for one in compiled] == ["normalise"] * 4 + ["activate"] * 4 + ["rotate"] * 2
    assert_fits(compiled, capability, tmp_path)


DECODED = SHAPES | {
    "Mamba-2 2.7B": (torch.float16, 80, 64, 1, 128),
    "Bamba 9B": (torch.bfloat16, 128, 64, 1, 128),
    "Falcon-H1 34B": (torch.bfloat16, 32, 128, 2, 256),
    "Granite 4 hybrid": (torch.bfloat16, 48, 64, 1, 128),
    "Zamba2 7B": (torch.bfloat16, 112, 64, 2, 64),
}


@pytest.mark.parametrize("shape", DECODED)
def test_a_decode_step(shape, compiled, capability, tmp_path):
    dtype, heads, width, groups, state = DECODED[shape]
    rows, slots = 3, torch.tensor([4, 0, 2])
    sizes = [heads * width, groups * state, groups * state]
    projected = torch.zeros(rows, 1, sum(sizes), dtype=dtype).transpose(1, 2)
    weight, kept = torch.zeros(sum(sizes), 4, dtype=dtype), torch.zeros(5, sum(sizes), 4, dtype=dtype)
    x, B, C = projected[..., 0].split(sizes, dim=-1)
    x, B, C = x.unflatten(-1, (heads, width)), *(part.unflatten(-1, (groups, state)) for part in (B, C))
    by_head, states = torch.zeros(heads, dtype=dtype), torch.zeros(5, heads, width, state)
    for index in (None, slots):
        conv_update(projected, kept, weight, weight[:, 0], "silu", index)
        for gate in (None, x):
            dt = torch.zeros(rows, heads, dtype=dtype)
            state_update(
                states, x, dt, by_head.float(), B, C, by_head, by_head, gate, dt_softplus=True, slots=index
            )
    assert [one.metadata.name for one in compiled] == ["_conv_update", *["_state_update"] * 2] * 2
    assert all(one.metadata.shared <= 16 * 1024 and loads_come_first(one.asm["ptx"]) for one in compiled)
    assert_fits(compiled, capability, tmp_path)


@pytest.mark.parametrize("heads", [4, 32, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_merged_levels(dtype, heads, compiled, capability, tmp_path):
    result, logs = torch.zeros(9, heads, 128, dtype=dtype), torch.zeros(heads, 9)
    merge_in_place(result, logs, slice(2, 7), torch.zeros(5, heads, 128, dtype=torch.bfloat16), logs[:, :5])
    merge_in_place(result, logs, torch.arange(5), result[:5], logs[:, :5])
    assert len(compiled) == 2
    assert all(loads_come_first(one.asm["ptx"]) for one in compiled)
    assert_fits(compiled, capability, tmp_path)
