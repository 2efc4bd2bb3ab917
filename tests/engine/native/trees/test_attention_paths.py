"""Each implementation of attention against float64 on one tree: those of a GPU where there is one."""

from types import SimpleNamespace

import pytest
import torch

from evalsuite.engine.native.paths import PLAIN, Paths, usable
from evalsuite.engine.native.reach import CHUNKED, Reach
from evalsuite.engine.native.trees import attention
from evalsuite.engine.native.trees.tree import tree_of
from tests.engine.native.trees.test_flex import dense, parts
from tests.engine.native.trees.test_levels import pack_of

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
OF_SCALE = {"float32": 2e-6, "bfloat16": 4e-3}
"""Largest difference from float64, as a share of the largest value."""
# A CPU uses the uncompiled form of FlexAttention, and rounds weights to bfloat16, which no GPU path does.
CASES = [
    (dtype, path)
    for dtype in (OF_SCALE if DEVICE == "cuda" else ["float32"])
    for path in (PLAIN.attention, *(usable("attention", DEVICE, dtype) if DEVICE == "cuda" else ["flex"]))
]
SHOTS = tuple(range(3, 300))
ROWS = [(*SHOTS, *range(branch, branch + 90)) for branch in (1, 2, 3, 400)]
ROWS += [(*SHOTS, 7, 8, *range(branch, branch + 5)) for branch in (20, 40)] + [(7,) * 260]
OPTIONS = {
    "full": (Reach(), None, None),
    "window": (Reach(200), None, None),
    "chunk": (Reach(chunk=128), None, None),
    "cap": (Reach(), 2.0, None),
    "sinks": (Reach(), None, torch.linspace(-2, 2, 4)),
}

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(("dtype", "path"), CASES)
def test_it_is_attention_over_the_tree(dtype, path, name):
    (reach, softcap, s_aux), pack = OPTIONS[name], pack_of(ROWS)
    inputs = parts(len(pack), width=64, value_width=64, dtype=getattr(torch, dtype))
    config = SimpleNamespace(layer_types=[CHUNKED], attention_chunk_size=reach.chunk)
    layer = SimpleNamespace(config=config if reach.chunk else None, layer_idx=0)
    attention._current.tree = tree_of(pack, DEVICE, Paths(attention=path))
    found, _weights = attention.tree_attention(
        layer,
        *(part.to(DEVICE) for part in inputs),
        None,
        scaling=0.2,
        sliding_window=reach.window,
        softcap=softcap,
        s_aux=None if s_aux is None else s_aux.to(DEVICE),
    )
    expected = dense(pack, reach, *inputs, 0.2, softcap, s_aux)
    allowed = OF_SCALE[dtype] * expected.abs().max().item()
    torch.testing.assert_close(found.double().cpu(), expected, rtol=0, atol=allowed)
