"""Names for the weights of a live model: a hash of their content, or a name that no others have."""

import hashlib
import uuid
from typing import Any

import torch

from evalsuite.types import sha256_of

UNHASHED = "unhashed-"
"""Begins the name of weights that were not hashed, in place of a digest."""


def name_of_unhashed() -> str:
    """A new name, so that answers and runs of these weights are never taken for those of others."""
    return f"{UNHASHED}{uuid.uuid4().hex}"


@torch.no_grad()
def live_digest(module: torch.nn.Module) -> str:
    """SHA-256 over names, types, shapes and content of a module's weights and buffers.

    It is another digest than that of a saved checkpoint, which covers files. Weights that FSDP2 divides are
    gathered one at a time, in all processes.
    """
    found = []
    for name, tensor in sorted(module.state_dict(keep_vars=True).items()):
        whole: Any = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
        content = whole.detach().contiguous().cpu().flatten().view(torch.uint8).numpy()
        shape = [str(whole.dtype), list(whole.shape)]
        found.append([name, *shape, hashlib.sha256(content.data).hexdigest()])
    config: Any = getattr(module, "config", None)
    described = config.to_json_string() if hasattr(config, "to_json_string") else ""
    return sha256_of(["live model", described, found])
