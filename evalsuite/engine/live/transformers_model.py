"""A transformers model in this process as the native engine's model: nothing is loaded or copied."""

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.files import with_text_values
from evalsuite.engine.native.memory_estimate import Needs, needs_by_config
from evalsuite.engine.native.model import ModelOptions, NativeModel
from evalsuite.engine.native.processes import OneProcess
from evalsuite.engine.native.sizes import DeviceMemory
from evalsuite.engine.placement import default_budget

if TYPE_CHECKING:
    from evalsuite.engine.native.loading.load import LoadedModel


class LiveModel(NativeModel):
    """The native engine's model when its module is there already.

    The engine replaces functions and settings of the module; who makes it puts them back
    (`trainer.state.kept_as_it_is`). No copies of weights are made, since the weights change afterwards, and
    the trials' outcome is not kept on disk, since unhashed weights have no name.

    Args:
        name: the model's name in messages.
        module: a transformers model with an LM head, whose weights are plain tensors on one device.
        digest: the weights' digest, or a name of these weights that no others have.
        logits_dtype: as for `TransformersEngine`.
    """

    remembers_trials = False

    def __init__(self, name: str, module: Any, digest: str, logits_dtype: str = "float32") -> None:
        self._module = module
        self._digest = digest
        options = ModelOptions(
            dtype=str(module.dtype).removeprefix("torch."),
            spread=False,
            trust_remote_code=True,  # it runs already
            verify_weights=False,
            logits_dtype=logits_dtype,
            packed=True,
            deterministic=False,
            graphs=True,
        )
        super().__init__(ModelFiles.elsewhere(name), options, OneProcess(str(module.device)))

    @functools.cached_property
    def config(self) -> Mapping[str, Any]:
        """The module's configuration as `config.json` would have it."""
        return with_text_values(self._module.config.to_dict())

    @property
    def lays_out(self) -> bool:
        """False: the weights change afterwards."""
        return False

    @property
    def weights(self) -> str:
        """The digest that the constructor got."""
        return self._digest

    @functools.cached_property
    def memory(self) -> DeviceMemory:
        """The device's memory beside the weights, gradients and optimizer states that lie there already."""
        found = DeviceMemory.measured(self.device)
        if not self.device.startswith("cuda"):
            return found
        import torch

        cached = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return replace(found, free=found.free + cached)

    @functools.cached_property
    def needs(self) -> Needs:
        """The memory of activations alone: the weights lie there already."""
        return needs_by_config(self.config, 0, self.dtype, self.device)

    def begin_loading(self) -> None:
        """Does nothing: the weights are there."""

    def _load(self) -> "LoadedModel":
        from evalsuite.engine.native.loading.load import ready
        from evalsuite.engine.native.models import support_for
        from evalsuite.engine.native.probe.causal import refuse_unless_causal

        sizes = self.sizes_within(default_budget(self.device))
        self.notes = support_for(self.config.get("model_type", "")).patch(self._module)
        rounded = self.options.logits_dtype == "model"
        loaded = ready(self._module, self.device, self.notes, rounded_logits=rounded, window=self.window)
        refuse_unless_causal(loaded, self.files.name)
        return replace(loaded, positions_per_chunk=sizes.positions_per_chunk)
