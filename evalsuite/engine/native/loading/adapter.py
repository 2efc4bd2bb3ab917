"""PEFT adapters: loaded into the base model, merged into its weights, and compared with the unmerged adapter.

A merged model is a plain model, which the rest of the engine can run. A trial on this very model checks that
merging does not change its logits.
"""

import contextlib
import warnings
from typing import Any

import torch

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.adapters import MERGE_IT, another_base, read_adapter_config, require_peft
from evalsuite.engine.native.loading.linked import linked_adapter
from evalsuite.errors import ModelError

REFUSED = {
    "layer_replication": "repeats layers of its base model",
    "alora_invocation_tokens": "acts from certain tokens on",
}
"""Settings of adapters that merging cannot reproduce, and what they do."""
ROUNDING = {"float32": 1e-3}
HALF_ROUNDING = 2e-2
"""By data type: largest distance of the merged model's logits from the adapter's, relative to their norm."""
SHARE_OF_EFFECT = 0.25
"""In half precision this is allowed, too: largest distance relative to the adapter's effect on the logits."""


def refuse_unmergeable(files: ModelFiles, *, whole: bool) -> None:
    """Raise ModelError, before anything is loaded, for an adapter that cannot be applied.

    Args:
        files: the model.
        whole: whether this process holds all of its layers on one device.
    """
    if files.adapter is None:
        return
    require_peft(files)
    if not whole:
        raise ModelError(
            f"Model '{files.name}' has a PEFT adapter, which is applied on one device only: {MERGE_IT}."
        )
    config = read_adapter_config(files.name, files.adapter)
    for setting, what in REFUSED.items():
        if config.get(setting):
            raise _refusal(files, f"its setting {setting} ({what}) has no merged form")


def merge_adapter(files: ModelFiles, model: Any) -> tuple[Any, str]:
    """The base model with the adapter's weights merged in, and a note for the run log.

    Raises:
        ModelError: the adapter is for another model, cannot be merged, or gives other logits when merged.
    """
    import peft

    if getattr(model, "hf_quantizer", None) is not None:
        raise _refusal(files, "the weights of its base model are quantised")
    folder = linked_adapter(files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            config = peft.PeftConfig.from_pretrained(str(folder))
            if config.is_prompt_learning:
                raise _refusal(files, f"it changes prompts ({config.peft_type.value}), not weights")
            config.inference_mode = True
            with torch.no_grad():
                base = _logits(model)
            adapted = peft.PeftModel(model, config)
            report = adapted.load_adapter(
                str(folder), "default", torch_device=str(model.device), local_files_only=True
            )
            _check_report(files, report)
            with torch.no_grad():
                unmerged = _logits(adapted.eval())
                merged = adapted.merge_and_unload().eval()
                problem = _difference(base, unmerged, _logits(merged), merged.dtype)
        except ModelError:
            raise
        except Exception as error:
            first_line = str(error).strip().split("\n")[0]
            raise _refusal(files, f"{type(error).__name__}: {first_line}") from error
    if problem:
        raise _refusal(files, problem)
    with contextlib.suppress(AttributeError):
        del merged.peft_config
    kind = getattr(config.peft_type, "value", config.peft_type)
    dtype = str(merged.dtype).removeprefix("torch.")
    note = f"PEFT adapter {files.adapter} ({kind}) is merged into {files.base or files.folder} in {dtype}"
    other = another_base(files)
    return merged, f"{note}, although it names the base model {other}" if other else note


def _check_report(files: ModelFiles, report: Any) -> None:
    for names, what in (
        (report.missing_keys, "lacks"),
        (report.unexpected_keys, "has, unlike its base model,"),
    ):
        if names:
            raise _refusal(files, f"it {what} {len(names)} weights, first {sorted(names)[0]}")


def _logits(model: Any) -> torch.Tensor:
    """The model's logits for a fixed input: (24, vocabulary) float32."""
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.tensor([[(37 * index + 11) % vocabulary for index in range(24)]], device=model.device)
    logits: torch.Tensor = model(input_ids=ids).logits[0].float().cpu()
    return logits


def _difference(base: torch.Tensor, unmerged: torch.Tensor, merged: torch.Tensor, dtype: torch.dtype) -> str:
    """Why the merged model differs from the adapter, by (positions, vocabulary) logits; else empty."""
    name = str(dtype).removeprefix("torch.")
    distance = (merged - unmerged).norm().item()
    if distance <= ROUNDING.get(name, HALF_ROUNDING) * unmerged.norm().item():
        return ""
    if name not in ROUNDING and distance <= SHARE_OF_EFFECT * (unmerged - base).norm().item():
        return ""
    return f"merged in {name}, it gives other logits than by itself"


def _refusal(files: ModelFiles, reason: str) -> ModelError:
    return ModelError(
        f"Adapter {files.adapter} cannot be applied to {files.base or files.folder}: {reason}. "
        f"Correct it, or {MERGE_IT}."
    )
