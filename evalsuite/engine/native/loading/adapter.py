"""PEFT adapters: loaded into the base model, merged into its weights, and held against the adapter itself.

A merged model is a plain one, which everything else here knows how to run. That the merge gives what the
adapter gives is tried on this very model.
"""

import contextlib
import warnings
from typing import Any

import torch

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.adapters import MERGE_IT, read_adapter_config, require_peft
from evalsuite.engine.native.loading.linked import linked_adapter
from evalsuite.errors import ModelError

REFUSED = {
    "layer_replication": "repeats layers of its base model",
    "alora_invocation_tokens": "acts from certain tokens on",
}
"""Settings with which merged weights are not the adapter, and what they do."""
ROUNDING = {"float32": 1e-3}
HALF_ROUNDING = 2e-2
"""By data type: largest distance of the merged model's logits from the adapter's, relative to their norm."""
SHARE_OF_EFFECT = 0.25
"""In a half-precision type also: largest distance relative to what the adapter changes."""


def refuse_unmergeable(files: ModelFiles, *, whole: bool) -> None:
    """Raises ModelError for an adapter that cannot be applied here, before anything is loaded.

    Args:
        files: the model.
        whole: this process holds all of its layers on one device.
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
    """The base model with the adapter's weights merged in, and what the run log should say.

    Raises:
        ModelError: an adapter of another model, of a kind that cannot be merged, or whose merge gives other
            logits.
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
                wanted = _logits(adapted.eval())
                merged = adapted.merge_and_unload().eval()
                problem = _difference(base, wanted, _logits(merged), merged.dtype)
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
    return (
        merged,
        f"PEFT adapter {files.adapter} ({kind}) is merged into {files.base or files.folder} in {dtype}",
    )


def _check_report(files: ModelFiles, report: Any) -> None:
    for names, what in (
        (report.missing_keys, "lacks"),
        (report.unexpected_keys, "has, unlike its base model,"),
    ):
        if names:
            raise _refusal(files, f"it {what} {len(names)} weights, first {sorted(names)[0]}")


def _logits(model: Any) -> torch.Tensor:
    """What the model says of a fixed input, positions by vocabulary."""
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.tensor([[(37 * at + 11) % vocabulary for at in range(24)]], device=model.device)
    return model(input_ids=ids).logits[0].float().cpu()


def _difference(base: torch.Tensor, wanted: torch.Tensor, merged: torch.Tensor, dtype: torch.dtype) -> str:
    """Why merged weights are not the adapter, by logits of base, adapter and merge; empty if they are."""
    name = str(dtype).removeprefix("torch.")
    distance = (merged - wanted).norm().item()
    if distance <= ROUNDING.get(name, HALF_ROUNDING) * wanted.norm().item():
        return ""
    if name not in ROUNDING and distance <= SHARE_OF_EFFECT * (wanted - base).norm().item():
        return ""
    return f"merged in {name}, it gives other logits than by itself"


def _refusal(files: ModelFiles, why: str) -> ModelError:
    return ModelError(
        f"Adapter {files.adapter} cannot be applied to {files.base or files.folder}: {why}. Correct it, or {MERGE_IT}."
    )
