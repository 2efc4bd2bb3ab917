"""Finds the module that computes inside what trainers put around it; called within `state.kept_as_it_is`."""

import sys
from dataclasses import dataclass

import torch

from evalsuite.errors import UserError


@dataclass(frozen=True, slots=True)
class Bare:
    """A module without wrappers."""

    module: torch.nn.Module
    shares_weights: bool
    """Its weights are divided among processes (FSDP), which must do their forward passes together."""

    @property
    def by_native_engine(self) -> bool:
        """Whether the native engine can run it: a causal model of transformers with whole weights."""
        transformers = sys.modules.get("transformers")
        if transformers is None or not isinstance(self.module, transformers.PreTrainedModel):
            return False
        weights = list(self.module.parameters())
        plain = all(type(weight) in (torch.nn.Parameter, torch.Tensor) for weight in weights)
        one_device = len({str(weight.device) for weight in weights}) == 1
        has_head = self.module.get_output_embeddings() is not None
        return plain and one_device and has_head and not self.shares_weights


def bare(model: torch.nn.Module) -> Bare:
    """Take off DistributedDataParallel, compiled modules and accelerate's autocast; end training mode.

    Compiled modules inside are replaced by the modules that they compile, since an evaluation's rows have all
    lengths and would be compiled again and again.

    Raises:
        UserError: the weights are divided in a way that evalsuite does not know (tensor parallelism).
    """
    while True:
        if hasattr(model, "_orig_mod"):
            model = model._orig_mod  # type: ignore[assignment]
        elif isinstance(model, torch.nn.parallel.DistributedDataParallel | torch.nn.DataParallel):
            model = model.module
        else:
            break
    for module in list(model.modules()):
        module.training = False  # not by `eval`: some modules merge their weights in it (loralib)
        module._compiled_call_impl = None
        if "_original_forward" in vars(module):  # accelerate's `prepare` put autocast around it
            vars(module).pop("forward", None)
        for name, inner in list(module._modules.items()):
            if inner is not None and hasattr(inner, "_orig_mod"):
                module._modules[name] = inner._orig_mod  # type: ignore[assignment]
    shares = _is_sharded(model)
    _refuse_unknown_shares(model, shares)
    return Bare(model, shares)


def gather_again(model: torch.nn.Module) -> None:
    """Let FSDP2 free the weights that its last forward pass left whole, so that they are as before."""
    for module in model.modules():
        if hasattr(module, "reshard") and hasattr(module, "_get_fsdp_state"):
            module.reshard()  # type: ignore[operator]


def _is_sharded(model: torch.nn.Module) -> bool:
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None:
        return False
    kinds = tuple(
        kind for name in ("FSDPModule", "FullyShardedDataParallel") if (kind := getattr(fsdp, name, None))
    )
    return any(isinstance(module, kinds) for module in model.modules())


def _refuse_unknown_shares(model: torch.nn.Module, sharded: bool) -> None:
    """Raise UserError for weights that FSDP alone did not divide: other processes compute the same rows."""
    for name, weight in model.named_parameters():
        mesh = getattr(weight, "device_mesh", None)
        if mesh is None:
            continue
        names = {each for each in mesh.mesh_dim_names or () if "tp" in each or "tensor" in each}
        if not sharded or names:
            raise UserError(
                f"The weight {name} is divided among processes by more than FSDP "
                f"(mesh {mesh.mesh_dim_names}); Evaluator evaluates models under DDP and FSDP. "
                "Evaluate the saved checkpoint instead (evalsuite watch)."
            )
