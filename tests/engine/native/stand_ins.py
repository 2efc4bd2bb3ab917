"""A CPU that passes for a GPU: stand-ins in the places of kernels that a CPU does not have.

They compute by torch's functions what the kernels promise. Everything else (candidates, trials, fallbacks,
identity) is the code that a GPU runs.
"""

import sys
from types import SimpleNamespace

import torch
from torch.nn.attention import varlen

from evalsuite.engine.native import kernels, paths
from evalsuite.engine.native.score_batch import read_targets
from evalsuite.engine.native.trees import mamba
from evalsuite.engine.native.trees import varlen as varlen_attention
from evalsuite.engine.native.trees.walk import walk_of
from evalsuite.engine.native.trials import graphs
from tests.engine.native.slots.recording import StandIn
from tests.engine.native.trees import varlen_plain

KERNELS = "evalsuite.engine.native.trees.kernels"


def as_a_gpu(monkeypatch) -> None:
    """Every candidate of `PARTS_TRIED` runs on the CPU and is right."""
    monkeypatch.setattr(paths, "GPUS", ("cpu",))
    monkeypatch.setattr(paths, "CANDIDATES", {part: paths.CANDIDATES[part][-1:] for part in paths.PARTS})
    for part in ("pointwise", "steps"):
        monkeypatch.setitem(paths.CANDIDATES, part, ())
    monkeypatch.setattr(varlen, "varlen_attn", varlen_plain.varlen_attn)
    monkeypatch.setattr(varlen_attention, "DEVICES", ("cpu",))
    monkeypatch.setattr(varlen_attention, "KERNEL_DTYPES", (torch.float32,))
    monkeypatch.setattr(kernels, "kernels_unsupported_reason", lambda device: "")
    put(monkeypatch, f"{KERNELS}.conv", path_conv=mamba.tree_conv)
    put(monkeypatch, f"{KERNELS}.scan", path_scan=mamba.tree_scan)
    put(monkeypatch, f"{KERNELS}.tables", tables_of=walk_of)
    put(monkeypatch, "evalsuite.engine.native.kernels.log_sums", read_tokens=by_torch)
    monkeypatch.setattr(graphs, "recorder_for", lambda device: StandIn())


def put(monkeypatch, module: str, **functions) -> None:
    """Put stand-ins in the place of a module of kernels."""
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**functions))


def by_torch(logits, row, token):
    return read_targets(logits, row, token, rounded=False)
