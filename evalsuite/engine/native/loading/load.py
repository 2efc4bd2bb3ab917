"""Loads a model into memory: checks its weights, and applies the patches of its family."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.auto_class import auto_class
from evalsuite.checkpoints.files import context_window, read_config
from evalsuite.checkpoints.formats import notes_of_format
from evalsuite.checkpoints.weights import find_weights
from evalsuite.engine.native.cpu.fused_mlp import fuse_gates
from evalsuite.engine.native.cpu.onednn import use_onednn
from evalsuite.engine.native.head import widen_head
from evalsuite.engine.native.loading.adapter import merge_adapter, refuse_unmergeable
from evalsuite.engine.native.loading.gguf import load_gguf
from evalsuite.engine.native.loading.linked import loader_arguments
from evalsuite.engine.native.loading.soft_caps import compute_soft_caps
from evalsuite.engine.native.loading.weight_report import check_report, conversion_problem
from evalsuite.engine.native.memory import is_out_of_memory
from evalsuite.engine.native.memory_estimate import POSITIONS_PER_CHUNK
from evalsuite.engine.native.models import support_for
from evalsuite.engine.native.paths import PLAIN, Paths, fastest
from evalsuite.engine.planning.rope import LengthRule, length_rule
from evalsuite.engine.quiet import quiet_transformers
from evalsuite.errors import ModelError


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A causal language model on its device, ready for `forward.run_at`."""

    model: Any
    """transformers' module, in evaluation mode."""
    device: str
    notes: tuple[str, ...]
    """Notes for the run log."""
    parameters: frozenset[str]
    """Parameter names of the model's forward method."""
    rounded_logits: bool = False
    """Logits, log-probabilities and their sums are in the model's data type, not float32."""
    positions_per_chunk: int = POSITIONS_PER_CHUNK
    """Positions of a pack whose logits are computed at a time."""
    fixed_sizes: bool = False
    """Packs are padded to a few sizes, and the head's rows to a single size (`deterministic`)."""
    paths: Paths = PLAIN
    """Which implementation computes each part of the work; after loading the fastest ones, not yet tried."""
    lengths: LengthRule | None = None
    """Which lengths of rows may share a forward pass; None if all may."""
    text_cache: bool = True
    """Texts are generated with a cache; if False, each token needs a pass over all earlier tokens."""
    text_positions: bool = True
    """Batches of texts get position ids; if False, the model counts positions by itself and by the mask."""

    @property
    def dtype(self) -> str:
        """Name of the weights' data type, for example "bfloat16"."""
        return str(self.model.dtype).removeprefix("torch.")

    @property
    def is_recurrent(self) -> bool:
        """Whether the cache is a state of fixed size, without a key and value per token (Mamba, Mamba-2)."""
        # transformers before 5.24 gave such a cache a name of its own. Since then only the missing position
        # ids tell these models from hybrids, which are stateful, too.
        stateful = getattr(self.model, "_is_stateful", False) and "position_ids" not in self.parameters
        return "cache_params" in self.parameters or ("cache" in self.parameters and stateful)

    @property
    def cache_name(self) -> str:
        """The name of the family's cache argument; `cache` is that of transformers 5.24 and later."""
        known = ("past_key_values", "cache_params", "cache")
        return next((name for name in known if name in self.parameters), "past_key_values")

    @property
    def eos_ids(self) -> frozenset[int]:
        """End tokens of the model's generation configuration."""
        config = getattr(self.model, "generation_config", None)
        ids = getattr(config, "eos_token_id", None)
        return frozenset([ids] if isinstance(ids, int) else ids or ())


def load_model(
    files: ModelFiles,
    *,
    device: str,
    dtype: str,
    trust_remote_code: bool,
    rounded_logits: bool = False,
    processes: int = 1,
    spread: bool = False,
    max_memory: Mapping[int | str, int | str] | None = None,
) -> LoadedModel:
    """Load the weights onto a resolved device in a resolved data type.

    Args:
        files: the model.
        device: the device of the model's inputs.
        dtype: data type of the weights.
        trust_remote_code: let the model's folder run its own code.
        rounded_logits: leave logits, and scores from them, in the model's data type.
        processes: number of processes that each load their part of every layer (tensor parallelism); all of
            them call this function.
        spread: put layers on all devices, and into the machine's memory when these are full.
        max_memory: memory limits by device for `spread`, in accelerate's format.

    Raises:
        ModelError: unreadable or incomplete weights, unknown architecture, out of memory.
    """
    if trust_remote_code:
        _refuse_code_from_elsewhere(files)
    refuse_unmergeable(files, whole=processes == 1 and not spread)
    config = read_config(files)
    support = support_for(config.get("model_type", ""))
    notes = [*_unused_forms(files), *notes_of_format(files)]
    try:
        with quiet_transformers():
            placement = _placement(device, processes, spread, max_memory)
            whole = processes == 1 and not spread
            model, report, note = _from_pretrained(files, placement, dtype, trust_remote_code, whole)
            notes += [*check_report(files, model, report), *filter(None, [note])]
            if files.adapter:
                model, note = merge_adapter(files, model)
                notes.append(note)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(_why_not_loaded(files, error, trust_remote_code)) from error
    notes += support.patch(model)
    return ready(model, device, tuple(notes), rounded_logits=rounded_logits, window=context_window(files))


def ready(
    model: Any,
    device: str,
    notes: tuple[str, ...] = (),
    *,
    rounded_logits: bool = False,
    window: int | None = None,
) -> LoadedModel:
    """Prepare a transformers model that is already on `device` for the engine.

    Its head gives float32 logits, or with `rounded_logits` logits of the model's data type. No row is longer
    than `window` tokens, if `window` is given.
    """
    if not rounded_logits:
        widen_head(model)
    compute_soft_caps(model)
    use_onednn(model)
    if not rounded_logits or model.dtype == torch.float32:  # the fused operations round less often
        fuse_gates(model)
    parameters = frozenset(inspect.signature(model.forward).parameters)
    lengths = length_rule(model.config.to_dict(), window)
    paths = fastest(device, str(model.dtype).removeprefix("torch."))
    model = model.eval() if model.training else model
    return LoadedModel(model, device, notes, parameters, rounded_logits, paths=paths, lengths=lengths)


def _placement(
    device: str, processes: int, spread: bool, max_memory: Mapping[int | str, int | str] | None
) -> dict[str, Any]:
    """transformers' arguments for where the weights go."""
    if processes > 1:
        try:
            from transformers.distributed.configuration_utils import DistributedConfig

            return {"distributed_config": DistributedConfig(tp_size=processes, tp_plan="auto")}
        except (ImportError, TypeError) as error:
            raise ModelError(
                "evalsuite does not support tensor parallelism with this version of transformers; "
                "install the version in constraints.txt."
            ) from error
    if spread:
        return {"device_map": "auto", "max_memory": max_memory}
    return {"device_map": None if device == "cpu" else {"": device}}


def _from_pretrained(
    files: ModelFiles, placement: dict[str, Any], dtype: str, trust_remote_code: bool, whole: bool
) -> tuple[Any, Any, str]:
    """The model, transformers' report on its weights, and a note or an empty string."""
    auto: Any = auto_class(read_config(files))

    def load(folder: Path, gguf_file: str | None) -> tuple[Any, Any]:
        model, report = auto.from_pretrained(
            folder,
            gguf_file=gguf_file,
            dtype=getattr(torch, dtype),
            **placement,
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # `check_report` names them; transformers does so only in its log
        )
        return model, report

    if files.gguf_path and whole:
        return load_gguf(files, dtype, load)
    return *load(*loader_arguments(files)), ""


def _refuse_code_from_elsewhere(files: ModelFiles) -> None:
    """Refuse code of another repository (`org/name--module.Class` in `auto_map`): no digest covers it."""
    named = [name for names in (read_config(files).get("auto_map") or {}).values() for name in _listed(names)]
    foreign = sorted({name.partition("--")[0] for name in named if "--" in name})
    if foreign:
        raise ModelError(
            f"Model '{files.name}' runs code of another repository, {foreign[0]}, which its digest cannot "
            f"cover: copy that repository's *.py files into {files.folder} and remove '{foreign[0]}--' from "
            "auto_map in config.json."
        )


def _listed(names: Any) -> list[str]:
    return [name for name in (names if isinstance(names, list) else [names]) if isinstance(name, str)]


def _unused_forms(files: ModelFiles) -> Iterator[str]:
    """A note if a folder holds its weights in several formats: which are read, and which are not."""
    weights = find_weights(files)
    if weights.unused:
        yield f"weights are read from {weights.form}; not used: {', '.join(weights.unused)}"


def _why_not_loaded(files: ModelFiles, error: Exception, trust_remote_code: bool) -> str:
    if is_out_of_memory(error):
        return f"Model '{files.name}' does not fit into memory: use a smaller data type or a larger device."
    config = read_config(files)
    architecture = config.get("model_type") or "unnamed"
    if not trust_remote_code and "auto_map" in config:
        return (
            f"Model '{files.name}' ({architecture}) runs code from its own folder, {files.folder}: "
            "read it, then allow it with --trust-remote-code."
        )
    first_line = conversion_problem(error) or str(error).strip().split("\n")[0]
    if first_line.startswith("Unrecognized configuration class"):
        return (
            f"Model '{files.name}' ({architecture}) is no causal language model that the installed "
            "transformers knows; evalsuite evaluates models that predict the next token."
        )
    return f"Model '{files.name}' ({architecture}) cannot be loaded from {files.folder}: {first_line}"
