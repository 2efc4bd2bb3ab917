"""A model of the native engine: its files, and its weights, which are loaded when needed."""

import functools
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalsuite.checkpoints import ModelFiles, weights_digest
from evalsuite.checkpoints.files import read_config, vocabulary_in, window_in
from evalsuite.engine.native import deterministic
from evalsuite.engine.native.memory_estimate import Needs, needs_of
from evalsuite.engine.native.processes import Processes
from evalsuite.engine.native.sizes import DeviceMemory, Sizes, sizes_beside_others, sizes_on_gpu
from evalsuite.engine.native.slot_estimate import slot_needs
from evalsuite.engine.placement import Budget, default_budget, keep_freed_memory, resolve_dtype
from evalsuite.engine.planning.rope import LengthRule, length_rule
from evalsuite.errors import ModelError

if TYPE_CHECKING:
    from evalsuite.engine.native.loading.load import LoadedModel


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How a model is loaded and computed; `TransformersEngine` explains each option."""

    dtype: str
    spread: bool
    """The model's layers may be on several devices."""
    trust_remote_code: bool
    verify_weights: bool
    logits_dtype: str
    packed: bool
    deterministic: bool
    graphs: bool
    """Decode steps may be captured as CUDA graphs."""


class NativeModel:
    """The model of `files`; the constructor reads nothing, and `loaded` reads the weights on first use.

    Args:
        files: the model, from `evalsuite.checkpoints.resolve`.
        options: how the model is loaded.
        processes: the processes that share the model.
    """

    remembers_trials = True
    """Whether the trials' outcome is kept in the user's cache folder, under the digest of the weights."""

    def __init__(self, files: ModelFiles, options: ModelOptions, processes: Processes) -> None:
        self.files = files
        self.options = options
        self.processes = processes
        self.notes: tuple[str, ...] = ()
        """Notes on the model for the run log; complete once the requests are answered."""
        self.told_weights: str | None = None
        """The weights' digest in the reported identity; loading refuses files with another digest."""
        self._loading: Future[LoadedModel] | None = None

    @functools.cached_property
    def device(self) -> str:
        """The device in use, for example "cpu" or "cuda:1"."""
        return self.processes.device

    @functools.cached_property
    def dtype(self) -> str:
        """The data type in use, for example "float32"."""
        return resolve_dtype(self.options.dtype, self.device)

    @property
    def config(self) -> Mapping[str, Any]:
        """The model's `config.json`."""
        return read_config(self.files)

    @property
    def window(self) -> int | None:
        """Context window in tokens by the configuration; None if it states none."""
        return window_in(self.config)

    @property
    def vocabulary(self) -> int | None:
        """Rows of the embedding and the LM head by the configuration; None if it does not state them."""
        return vocabulary_in(self.config)

    @property
    def weights(self) -> str:
        """Digest of the model's weights."""
        return weights_digest(self.files, verify=self.options.verify_weights)

    @property
    def lengths(self) -> LengthRule | None:
        """Which lengths are rotated alike: by the loaded model, or before loading by its configuration."""
        return self.loaded.lengths if "loaded" in self.__dict__ else self.expected_lengths

    @property
    def expected_lengths(self) -> LengthRule | None:
        """Which lengths are rotated alike, by `config.json`."""
        return length_rule(self.config, self.window)

    @property
    def lays_out(self) -> bool:
        """Whether weights may be copied into a faster layout if memory is ample; never if deterministic."""
        return self.device == "cpu" and not self.options.deterministic

    def free_bytes(self) -> int:
        """Free memory of the device; with several processes, the smallest of their values."""
        from evalsuite.engine.native.memory import free_bytes

        return self.processes.smallest(free_bytes(self.device))

    @functools.cached_property
    def memory(self) -> DeviceMemory:
        """The device's memory before any weight is on it; read first before loading begins."""
        found = DeviceMemory.measured(self.device, spread=self.options.spread)
        return found.agreed(self.processes.smallest)

    @functools.cached_property
    def needs(self) -> Needs:
        """The memory that this process's part of the model needs."""
        return needs_of(self.files, self.dtype, self.device).divided(self.processes.size)

    @property
    def copied_bytes(self) -> int:
        """Bytes of the copies of weights that `lays_out` allows; 0 where memory is too short for them."""
        from evalsuite.engine.native.cpu.onednn import ROOM

        weights = self.needs.weights
        copies = weights if self.dtype == "float32" else weights + self.needs.head
        return copies if self.lays_out and ROOM * copies <= self.memory.free - weights else 0

    def sizes_within(self, budget: Budget) -> Sizes:
        """How much runs at a time; `budget` are the limits of padded batches where memory is ample."""
        if not self.device.startswith("cuda"):
            return sizes_beside_others(self.needs, self.memory, budget, self.copied_bytes)
        return sizes_on_gpu(self.needs, slot_needs(self.config, self.dtype), self.memory, budget)

    def add_note(self, note: str) -> None:
        """Add a note for the run log, once; an empty note is ignored."""
        self.notes = tuple(dict.fromkeys((*self.notes, note))) if note else self.notes

    @functools.cached_property
    def loaded(self) -> "LoadedModel":
        """The model with its weights.

        Raises:
            ModelError: the model cannot be loaded.
        """
        _ = self.memory
        return self._loading.result() if self._loading else self.processes.load(self._load)

    def begin_loading(self) -> None:
        """Load the weights in a background thread; errors are raised when `loaded` is read."""
        _ = self.memory
        pool = ThreadPoolExecutor(1, "weights")
        self._loading = pool.submit(self._load)
        pool.shutdown(wait=False)

    def _load(self) -> "LoadedModel":
        from evalsuite.engine.native.cpu.onednn import lay_out_weights
        from evalsuite.engine.native.loading.load import load_model
        from evalsuite.engine.native.probe.causal import refuse_unless_causal

        options, processes = self.options, self.processes
        processes.refuse_unless_divisible(self.files, options.trust_remote_code)
        sizes = self.sizes_within(default_budget(self.device))
        self._refuse_if_too_large()
        if self.device == "cpu":
            keep_freed_memory()
        if options.deterministic:
            deterministic.switch_on()
        loaded = load_model(
            self.files,
            device=self.device,
            dtype=self.dtype,
            trust_remote_code=options.trust_remote_code,
            rounded_logits=options.logits_dtype == "model",
            processes=processes.size,
            spread=options.spread,
        )
        self._refuse_if_changed()
        refuse_unless_causal(loaded, self.files.name)
        loaded = replace(
            loaded, fixed_sizes=options.deterministic, positions_per_chunk=sizes.positions_per_chunk
        )
        if self.lays_out and processes.size == 1:
            lay_out_weights(loaded.model, self.free_bytes())
        self.notes = loaded.notes
        if sizes.problem and not options.spread:
            self.add_note(f"the device's memory is too short: {sizes.problem}")
        return loaded

    def _refuse_if_too_large(self) -> None:
        """Raise ModelError if the weights alone are larger than a GPU's whole memory.

        The size of quantised weights is not known from their number.
        """
        needed, total = self.needs.weights, self.memory.total
        whole = self.device.startswith("cuda") and not self.options.spread
        if whole and needed > total and "quantization_config" not in self.config:
            raise ModelError(
                f"Model '{self.files.name}' does not fit on {self.device}: its weights need "
                f"{needed / 2**30:.1f} GiB in {self.dtype}, and it has {total / 2**30:.1f} GiB. Use several "
                "GPUs (--device spread, or torchrun), a larger one, or a smaller data type (--dtype)."
            )

    def _refuse_if_changed(self) -> None:
        """Raise ModelError if the files were written to since they were hashed."""
        if self.told_weights and weights_digest(self.files) != self.told_weights:
            raise ModelError(
                f"The files of model '{self.files.name}' changed between hashing and loading: "
                "wait until they are written, then run again."
            )
