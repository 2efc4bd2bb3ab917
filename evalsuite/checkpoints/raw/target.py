"""The tensors that a model of transformers has, by name and shape, from its configuration alone."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evalsuite.checkpoints.auto_class import auto_class
from evalsuite.errors import ModelError


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a tensor of the model must be."""

    shape: tuple[int, ...]
    floating: bool
    """Whether its values are floating-point numbers; the width may be any."""


@dataclass(frozen=True, slots=True)
class ModelTensors:
    """All tensors of a model in one naming, in the order of the model."""

    specs: Mapping[str, TensorSpec]
    """Parameters and stored buffers by name, without second names of shared tensors."""
    shared: Mapping[str, str]
    """Second names of shared tensors (tied embeddings), and the name in `specs` of each."""


@dataclass(frozen=True, slots=True)
class TargetModel:
    """A model that a raw checkpoint is read for."""

    folder: Path
    """Folder of its configuration and tokenizer."""
    config: Mapping[str, Any]
    """`config.json`."""
    in_memory: ModelTensors
    """Named as in the `state_dict` of the model."""
    in_files: ModelTensors
    """Named as in the files that transformers writes; mostly the same names."""

    @property
    def parameters(self) -> int:
        """Number of parameters, each counted once."""
        return sum(math.prod(spec.shape) for spec in self.in_memory.specs.values())


def target_model(folder: Path, config: Mapping[str, Any]) -> TargetModel:
    """Build the model without values, on torch's meta device, and list its tensors.

    Args:
        folder: holds `config.json`.
        config: its content, with a language model's own values at the top.

    Raises:
        ModelError: the installed transformers does not have the architecture, or the configuration is wrong.
    """
    from transformers import AutoConfig

    try:
        with torch.device("meta"):
            made = auto_class(config).from_config(AutoConfig.from_pretrained(folder, local_files_only=True))
        return TargetModel(folder, config, *_namings(made))
    except Exception as error:
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"No model can be made from {folder / 'config.json'}: {first_line}") from error


def _namings(model: torch.nn.Module) -> tuple[ModelTensors, ModelTensors]:
    """Named as in memory, and as in files."""
    tensors, shared = model.state_dict(), _shared(model)
    stored_shared = {
        _one(_as_in_files(model, {second: tensors[second]})): _one(
            _as_in_files(model, {first: tensors[first]})
        )
        for second, first in shared.items()
    }
    return _listed(tensors, shared), _listed(_as_in_files(model, tensors), stored_shared)


def _shared(model: torch.nn.Module) -> dict[str, str]:
    """Each further name of a parameter, with its first name."""
    first: dict[int, str] = {}
    named = model.named_parameters(remove_duplicate=False)
    return {name: kept for name, value in named if (kept := first.setdefault(id(value), name)) != name}


def _listed(tensors: Mapping[str, torch.Tensor], shared: Mapping[str, str]) -> ModelTensors:
    specs = {
        name: TensorSpec(tuple(tensor.shape), tensor.is_floating_point())
        for name, tensor in tensors.items()
        if name not in shared
    }
    return ModelTensors(specs, shared)


def _as_in_files(model: Any, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors as transformers names, splits and joins them when it writes a model.

    Source: transformers 5.23, `core_model_loading.revert_weight_conversion`, which `save_pretrained` calls.
    """
    with contextlib.suppress(ImportError):
        from transformers.core_model_loading import revert_weight_conversion

        return dict(revert_weight_conversion(model, dict(tensors)))
    return dict(tensors)


def _one(tensors: Mapping[str, torch.Tensor]) -> str:
    [name] = tensors
    return name
