"""Everything about a model and its process that an evaluation must leave as it was, read by other means than
the code that puts it back."""

import random
from typing import Any

import numpy as np
import torch


def state_of(model: torch.nn.Module) -> dict[str, Any]:
    """What two looks at a model compare; contents of weights as their addresses and a checksum."""
    found: dict[str, Any] = {
        "torch": torch.get_rng_state().tolist(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "autocast type": torch.get_autocast_dtype("cpu"),
        "default": (torch.get_default_dtype(), torch.get_default_device()),
    }
    for name, module in model.named_modules():
        attributes = vars(module)
        found[f"{name} is"] = (id(module), type(module), module.training)
        found[f"{name} has"] = {key: id(value) for key, value in attributes.items()}
        found[f"{name} holds"] = {
            key: [*map(id, value.values())] for key, value in attributes.items() if isinstance(value, dict)
        }
        config = attributes.get("config")
        if hasattr(config, "to_dict"):
            found[f"{name} config"] = (config.to_dict(), config._attn_implementation)
        code = __import__("sys").modules[type(module).__module__]
        if code.__name__.startswith("transformers."):
            found[code.__name__] = {key: id(value) for key, value in vars(code).items() if callable(value)}
    for name, weight in model.named_parameters():
        grad = None if weight.grad is None else (id(weight.grad), float(weight.grad.double().sum()))
        found[f"{name} weight"] = (
            weight.data_ptr(),
            weight.dtype,
            weight.requires_grad,
            weight._version,
            grad,
        )
        found[f"{name} sum"] = float(weight.detach().double().sum())
    for name, buffer in model.named_buffers():
        found[f"{name} buffer"] = (id(buffer), buffer.dtype, buffer.tolist())
    return found


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of what differs."""
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]
