"""Any module with logits, called as the native engine's functions call a model of transformers."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch

from evalsuite.errors import ModelError

Adapter = Callable[[Any, torch.Tensor], Any]
"""From a module and (rows, tokens) ids to (rows, tokens, vocabulary) logits, or to an object with them."""


@dataclass(slots=True)
class PassState:
    """Whether a forward pass is running, in which processes that share the weights wait for each other."""

    running: bool = False


class LogitsModule:
    """A module whose forward pass over token ids gives the logits of every position.

    The passes run without gradients, but not in inference mode, whose tensors a module must not keep.

    Args:
        module: the module.
        name: its name in messages.
        adapter: calls the module; None for `module(ids)`.
        autocast: compute under autocast with this data type; None for the weights' own data type.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        name: str,
        adapter: Adapter | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        self.module = module
        self.name = name
        self.state = PassState()
        self._adapter = adapter
        self._autocast = autocast
        weight = next((each for each in module.parameters() if each.is_floating_point()), None)
        if weight is None:
            raise ModelError(f"Model '{name}' has no weights.")
        self.device = str(weight.device)
        self.weights_dtype = weight.dtype
        self.dtype = autocast or shared_dtype(module) or weight.dtype
        """The data type in which most of a pass is computed."""

    def __call__(self, input_ids: torch.Tensor, **_: Any) -> SimpleNamespace:
        """The logits of (rows, tokens) ids, as the attribute `logits` (rows, tokens, vocabulary).

        Raises:
            ModelError: the module gives something else.
        """
        with torch.inference_mode(False), torch.no_grad(), self._computing():
            ids = input_ids.to(self.device).clone()
            self.state.running = True
            output = self._adapter(self.module, ids) if self._adapter else self._called(ids)
            self.state.running = False
            return SimpleNamespace(logits=self._logits(output, ids))

    def _called(self, ids: torch.Tensor) -> Any:
        if hasattr(self.module, "config") and hasattr(self.module.config, "use_cache"):
            return self.module(input_ids=ids, use_cache=False)
        return self.module(ids)

    def _logits(self, output: Any, ids: torch.Tensor) -> torch.Tensor:
        found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
        if not isinstance(found, torch.Tensor) or found.ndim != 3 or found.shape[:2] != ids.shape:
            shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise ModelError(
                f"Model '{self.name}' gave {shape} for token ids of shape {tuple(ids.shape)}; evalsuite "
                "needs logits of shape (rows, tokens, vocabulary): give Evaluator a function "
                "logits=lambda module, ids: ... that returns them."
            )
        return found

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        kind = self.device.partition(":")[0]
        if self._autocast is None:
            yield
            return
        with torch.autocast(kind, dtype=self._autocast):
            yield

    @property
    def generation_config(self) -> Any:
        """The module's, if it has one."""
        return getattr(self.module, "generation_config", None)

    def get_output_embeddings(self) -> None:
        """None: the logits of every position are computed."""

    def _get_logits_processor(self, **options: Any) -> Any:
        module: Any = self.module
        return module._get_logits_processor(**options)


def shared_dtype(module: torch.nn.Module) -> torch.dtype | None:
    """The data type in which FSDP2 (torch 2.13) computes with the weights; None for their own."""
    state = getattr(module, "_get_fsdp_state", None)
    policy = getattr(state(), "_mp_policy", None) if state else None
    return getattr(policy, "param_dtype", None)
