"""A CPU that passes for a GPU: stand-ins in the places of kernels that a CPU does not have.

They compute by torch's functions what the kernels promise. Everything else (candidates, trials, fallbacks,
identity) is the code that a GPU runs.
"""

import inspect
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import torch
from torch.nn.attention import varlen
from transformers.models.bamba.modeling_bamba import causal_conv1d_update, mamba2_chunk_scan

from evalsuite.engine.native import kernels, paths, score_packed
from evalsuite.engine.native.score_batch import read_targets
from evalsuite.engine.native.slots import forward
from evalsuite.engine.native.trees import mamba
from evalsuite.engine.native.trees import varlen as varlen_attention
from evalsuite.engine.native.trees.walk import walk_of
from evalsuite.engine.native.trials import graphs
from tests.engine.native.slots.recording import StandIn
from tests.engine.native.trees import varlen_plain

KERNELS, SLOT_KERNELS = "evalsuite.engine.native.trees.kernels", "evalsuite.engine.native.slots.kernels"
STANDS_IN = {
    "attention": "levels",
    "scan": "kernels",
    "log_probs": "kernels",
    "pointwise": "kernels",
    "prompts": "kernels",
    "steps": "kernels",
    "graphs": "cuda",
}


def as_a_gpu(monkeypatch) -> None:
    """One candidate of each part in `STANDS_IN` runs on the CPU, and is right; other parts have none."""
    monkeypatch.setattr(paths, "GPUS", ("cpu",))
    candidates = {
        part: tuple(one for one in paths.CANDIDATES[part] if one.name == STANDS_IN.get(part))
        for part in paths.PARTS
    }
    monkeypatch.setattr(paths, "CANDIDATES", candidates)
    monkeypatch.setattr(varlen, "varlen_attn", varlen_plain.varlen_attn)
    monkeypatch.setattr(varlen_attention, "DEVICES", ("cpu",))
    monkeypatch.setattr(varlen_attention, "KERNEL_DTYPES", (torch.float32,))
    monkeypatch.setattr(kernels, "kernels_unsupported_reason", lambda device: "")
    put(monkeypatch, f"{KERNELS}.conv", path_conv=mamba.tree_conv)
    put(monkeypatch, f"{KERNELS}.scan", path_scan=mamba.tree_scan)
    put(monkeypatch, f"{KERNELS}.tables", tables_of=walk_of)
    put(monkeypatch, "evalsuite.engine.native.kernels.log_sums", read_tokens=by_torch)
    put(monkeypatch, f"{SLOT_KERNELS}.prompt_scan", prompt_scan=prompt_scan)
    put(monkeypatch, f"{SLOT_KERNELS}.conv_update", conv_update=conv_update)
    put(monkeypatch, f"{SLOT_KERNELS}.state_update", state_update=state_update)
    for module in (score_packed, forward):
        monkeypatch.setattr(module, "pointwise_by", pointwise_by)
    monkeypatch.setattr(graphs, "recorder_for", lambda device: StandIn())


def put(monkeypatch, module: str, **functions) -> None:
    """Put stand-ins in the place of a module of kernels."""
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**functions))


def by_torch(logits, row, token):
    return read_targets(logits, row, token, rounded=False)


@contextmanager
def pointwise_by(model, path, used=lambda: None):
    """The model's own code, in the name of kernels."""
    if path == "kernels":
        used()
    yield


def prompt_scan(*args, **options):
    return inspect.unwrap(mamba2_chunk_scan)(*args, **options)


def conv_update(*args, **options):
    return inspect.unwrap(causal_conv1d_update)(*args, **options)


def state_update(state, x, dt, A, B, C, D, dt_bias, z, *, dt_softplus):
    """One step of the recurrence; the state is updated in place."""
    assert z is None
    dt = torch.nn.functional.softplus(dt + dt_bias) if dt_softplus else dt + dt_bias  # (rows, heads)
    B, C = (part.repeat_interleave(x.shape[1] // part.shape[1], dim=1) for part in (B, C))
    written = (dt[..., None] * x)[..., None] * B[:, :, None]
    state.mul_(torch.exp(dt * A)[..., None, None]).add_(written)  # (rows, heads, width, state)
    return (state * C[:, :, None]).sum(-1) + D[:, None] * x
