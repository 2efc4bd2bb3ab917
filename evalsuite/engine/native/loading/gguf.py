"""Loads GGUF files by way of a kept copy of their dequantised weights (`checkpoints.gguf_copies`)."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.gguf_copies import drop_copy, keep_copy, whole_copy
from evalsuite.engine.native.loading.linked import loader_arguments
from evalsuite.engine.native.memory import is_out_of_memory

LARGEST_FILE = "4GB"
Loader = Callable[[Path, str | None], tuple[Any, Any]]
"""Loads a folder, or a GGUF file in it, by transformers; returns the model and its `output_loading_info`."""


def load_gguf(files: ModelFiles, dtype: str, load: Loader) -> tuple[Any, Any, str]:
    """The model, the report on its weights, and a note if they are read from the GGUF file every time.

    The parameters are those that transformers reads from the GGUF file, bit by bit.
    """
    part = f"model-{dtype}"
    if folder := whole_copy(files, part):
        try:
            model, report = load(folder, None)
            _take_into_memory(model)
            return model, report, ""
        except Exception as error:
            if is_out_of_memory(error):
                raise
            drop_copy(files, part)
    model, report = load(*loader_arguments(files))
    reason = why_not_copied(model, report, dtype)
    if not reason:
        size = sum(weight.nbytes for weight in model.parameters())
        reason = keep_copy(files, part, size, lambda folder: _write(model, folder))
    return model, report, f"no copy of the dequantised weights is kept: {reason}" if reason else ""


def _take_into_memory(model: Any) -> None:
    """Move the weights from the mapped file into memory of their own, where each tensor is aligned.

    A decode step of SmolLM2-135M with 6 rows took 76 to 82 ms so, and 86 ms with mapped weights (minima of
    three runs by turns on a quiet machine).
    """
    for weight in model.parameters():
        weight.data = weight.data.clone()


def why_not_copied(model: Any, report: Any, dtype: str) -> str:
    """Why a copy would not load as the same model; empty if it would."""
    if any(report.values()):
        return "transformers reports on some of them"
    kinds = {(type(weight), weight.dtype, weight.device.type) for weight in model.parameters()}
    whole = {kind is torch.nn.Parameter and device != "meta" for kind, _, device in kinds}
    if whole != {True} or {found for _, found, _ in kinds} != {getattr(torch, dtype)}:
        return f"they are not all in {dtype}"
    return ""


def _write(model: Any, folder: Path) -> None:
    """Write the configuration and the weights; transformers' `save_pretrained` refuses models from GGUF."""
    from huggingface_hub import save_torch_state_dict

    config = copy.deepcopy(model.config)
    vars(config).pop("quantization_config", None)  # the weights are dequantised
    config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    save_torch_state_dict(model.state_dict(), folder, max_shard_size=LARGEST_FILE)
