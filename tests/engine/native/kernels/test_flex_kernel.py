"""The program that torch generates for FlexAttention over a tree, in Triton's interpreter against float64."""

from types import SimpleNamespace

import pytest
import torch

from evalsuite.engine.native.trees.flex import device_tiles
from evalsuite.engine.native.trees.tree import tree_of
from tests.engine.native.kernels.where import INTERPRETED  # skips without Triton, and repairs bfloat16
from tests.engine.native.trees.test_flex import dense, parts
from tests.engine.native.trees.test_levels import pack_of

if not INTERPRETED:
    pytest.skip("on a GPU the trials run the program itself", allow_module_level=True)

import triton

from tests.engine.native.kernels.generated_flex import OPTIONS, ROWS, program_of, source_of

OF_SCALE = {torch.float32: 2e-6, torch.bfloat16: 4e-3}
"""Largest difference from float64, as a share of the largest value."""
CASES = [(name, dtype, 32, 32) for name in OPTIONS for dtype in OF_SCALE] + [("full", torch.float32, 80, 48)]
"""Options, data type, and widths of a head's keys and values."""


@pytest.mark.parametrize(("name", "dtype", "width", "value_width"), CASES, ids=str)
def test_the_generated_program_is_attention_over_the_tree(name, dtype, width, value_width, tmp_path):
    options, pack = OPTIONS[name], pack_of(ROWS)
    q, k, v = parts(len(pack), width=width, value_width=value_width, dtype=dtype)
    tree = tree_of(pack, "cpu")
    program, said = program_of(source_of(tree, [q, k, v], 90, scale=0.3, **options), tmp_path)
    # The interpreter has no function of CUDA's library.
    program.fn.__globals__["libdevice"] = SimpleNamespace(
        tanh=lambda x: 2 * triton.language.sigmoid(2 * x) - 1
    )
    tiles = device_tiles(pack, options["reach"], "cpu")
    mask = tiles.block_mask
    padded = [torch.nn.functional.pad(part, (0, 0, 0, tiles.size - len(pack))) for part in (q, k, v)]
    output = torch.full((*padded[0].shape[:3], value_width), torch.nan, dtype=dtype)
    logs = torch.zeros(output.shape[:3])
    sees = mask.mask_mod
    captured = dict(zip(sees.__code__.co_freevars, sees.__closure__, strict=True))
    read = [captured[name].cell_contents for name in ("ends", "depths", "firsts") if name in captured]
    program[triton.cdiv(tiles.size, said["inductor_meta"]["config_args"]["BLOCK_M"]), 1, 4](
        *padded,
        logs,
        torch.zeros_like(logs),
        mask.kv_num_blocks,
        mask.kv_indices,
        mask.full_kv_num_blocks,
        mask.full_kv_indices,
        *read,
        output,
    )
    found = output[:, :, : len(pack)].transpose(1, 2).double()
    if options["s_aux"] is not None:
        logs = logs[:, :, : len(pack)] * torch.log(torch.tensor(2.0))
        found *= torch.sigmoid(logs.double() - options["s_aux"][:, None]).transpose(1, 2)[..., None]
    expected = dense(pack, options["reach"], q, k, v, 0.3, options["softcap"], options["s_aux"])
    allowed = OF_SCALE[dtype] * expected.abs().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=allowed)
