"""Tries the capture of decode steps: a small step is captured, and compared with the same step uncaptured."""

from typing import TYPE_CHECKING

import torch

from evalsuite.engine.native.differences import allowed_difference
from evalsuite.engine.native.probe.plain_tokens import plain_tokens
from evalsuite.engine.native.slots.forward import SlotModel, Slots
from evalsuite.engine.native.slots.graphs import Graphing, Recorder
from evalsuite.engine.native.stand_in import why_it_stopped

if TYPE_CHECKING:
    from evalsuite.engine.native.loading.load import LoadedModel

ROWS, TOKENS = 2, 4
"""Prompts of the trial; and tokens of their prefix, and of the rest of each."""
MOST_STEPS = 16
"""More than the steps of one shape that `Graphs` launches before it captures the next one."""


def graphing_for(loaded: "LoadedModel") -> Graphing:
    """Captures the decode steps of a model on a GPU."""
    return Graphing(recorder_for(loaded.device), allowed_difference(loaded.model.dtype))


def recorder_for(device: str) -> Recorder:
    """The recorder of a device; there is one for CUDA devices only."""
    from evalsuite.engine.native.slots.cuda_graphs import CudaRecorder

    return CudaRecorder(device)


def why_graphs_fail(model: SlotModel) -> str:
    """Capture and replay a decode step over slots; why steps cannot be captured, or empty if they can.

    `Graphs` compares a captured step with an ordinary one: the logits, and what is left in the slots.
    """
    try:
        return _why_capture_fails(model, graphing_for(model.loaded))
    except Exception as error:  # drivers and modelling code raise errors of every kind
        return why_it_stopped(error)


@torch.inference_mode()
def _why_capture_fails(model: SlotModel, graphing: Graphing) -> str:
    config, device = model.loaded.model.config, model.loaded.device
    slots = Slots(model, ROWS, graphing)
    prefix = model.prefix(plain_tokens(config, TOKENS, start=2))
    slots.prefill(prefix, [plain_tokens(config, TOKENS, start=5 + 11 * row) for row in range(ROWS)])
    for token in plain_tokens(config, MOST_STEPS, start=3):
        slots.decode(torch.full((ROWS,), token, device=device))
        if graphing.replayed or graphing.refused:
            break
    if graphing.refused:
        return f"a trial ended in an error: {graphing.refused.removesuffix('.')}"
    return "" if graphing.replayed else "the trial's steps were not captured"
