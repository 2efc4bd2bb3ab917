"""Checks transformers' report on loaded weights: none may be missing, misshapen or left over.

A weight that the architecture lacks is an error, since the configuration then does not belong to the weights
(three layers of four), unless the weight is known not to matter.
"""

import re
import traceback
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.files import read_config
from evalsuite.checkpoints.headers import tensor_shapes
from evalsuite.checkpoints.raw.account import BUFFERS
from evalsuite.checkpoints.weights import weight_files
from evalsuite.errors import ModelError

MASKS = re.compile(r"(^|\.)(self_)?(attn|attention|crossattention)(\.attention)?\.bias$")
"""A stored attention mask if it is square (GPT-2, GPT-J, GPT-Neo); otherwise a weight."""
UNUSED_PARTS = {
    "multi-token prediction": r"(^|\.)mtp",
    "a value head": r"^v_head\.",
    "scales of a quantised KV cache": r"\.(self_attn|attn|attention)\.(q|k|v|prob|kv)_(scale|zero_point)$",
}
"""Parts on which no next-token log-probability depends, by their names in the run's notes."""
OTHER_SENSES = re.compile(
    r"(^|\.)((vision|visual|image|audio|speech|video|sound)\w*|multi_modal_projector|mm_projector|multimodal_\w+"
    r"|patch_merger|talker|code2wav|token2wav|resampler|siglip\w*|vit|vpm|apm|tts)(\.|$)"
)
"""Vision, audio and speech parts of a multimodal model, of which only the language model is loaded."""
SENSES = ("vision_config", "audio_config", "speech_config", "visual", "talker_config", "thinker_config")
"""Settings of a configuration with such parts."""
PREDICTION_PARTS = ("eh_proj", "enorm", "hnorm")
"""Weights of an extra layer for multi-token prediction, after the last one (DeepSeek-V3, GLM-4.5, Step)."""
BUFFER = "a buffer"


def check_report(files: ModelFiles, model: Any, report: Mapping[str, Any]) -> tuple[str, ...]:
    """Notes for the run log on weights that are not used.

    Args:
        files: the model.
        model: the loaded model.
        report: transformers' `output_loading_info`.

    Raises:
        ModelError: weights are missing, have another shape, or do not belong to the architecture.
    """
    if misshapen := sorted(report["mismatched_keys"]):
        name, stored, configured = misshapen[0]
        raise ModelError(
            f"Model '{files.name}' is not what its config.json says: weight {name} has shape "
            f"{_shape(stored)} in {files.folder} and {_shape(configured)} by the configuration"
            f"{_more(misshapen)}."
        )
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"Model '{files.name}' is incomplete: {len(missing)} weights are missing in {files.folder}, "
            f"first {missing[0]}."
        )
    names = {*report["unexpected_keys"], *_hidden_layers(files, model)}
    parts = {name: _unused_part(name, names, files, model) for name in names}
    surplus = sorted(name for name, part in parts.items() if not part)
    if surplus:
        raise ModelError(
            f"Model '{files.name}' is not what its config.json says: {files.folder} holds {len(surplus)} "
            f"weights that the configuration does not have, first {surplus[0]}; correct config.json, or "
            "remove the weights."
        )
    counts = Counter(part for part in parts.values() if part != BUFFER)
    return tuple(f"weights that are not used: {part} ({count})" for part, count in sorted(counts.items()))


def _unused_part(name: str, surplus: Collection[str], files: ModelFiles, model: Any) -> str:
    """The kind of unused part to which a surplus weight belongs; empty if the weight matters."""
    if BUFFERS.search(name) or (MASKS.search(name) and _is_square(stored_shapes(files).get(name, ()))):
        return BUFFER
    for part, pattern in UNUSED_PARTS.items():
        if re.search(pattern, name):
            return part
    if _is_extra_layer(name, surplus, model.config):
        return "multi-token prediction"
    if OTHER_SENSES.search(name) and any(setting in read_config(files) for setting in SENSES):
        return "vision, audio or speech parts"
    return ""


def _is_square(shape: Sequence[int]) -> bool:
    return len(shape) > 1 and shape[-1] == shape[-2]


def _is_extra_layer(name: str, surplus: Collection[str], config: Any) -> bool:
    """Whether a weight belongs to an extra layer for multi-token prediction (DeepSeek, GLM)."""
    layer = re.search(r"(.*\blayers\.)(\d+)\.", name)
    layers = getattr(config.get_text_config(), "num_hidden_layers", None)
    if layer is None or layers is None or int(layer[2]) < layers:
        return False
    return any(f"{layer[0]}{part}.weight" in surplus for part in PREDICTION_PARTS)


def _hidden_layers(files: ModelFiles, model: Any) -> set[str]:
    """Stored weights of layers that transformers omits from its report by number (DeepSeek's 62nd)."""
    ignored = model._keys_to_ignore_on_load_unexpected or ()
    patterns = [pattern for pattern in ignored if re.search(r"layers\W+\d", pattern)]
    if not patterns or not files.is_hf_folder:
        return set()
    hidden = re.compile("|".join(f"({pattern})" for pattern in patterns))
    return {name for name in stored_shapes(files) if hidden.search(name)} - set(model.state_dict())


def stored_shapes(files: ModelFiles) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors in a folder's weight files, by name; reads only the files' headers."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in weight_files(files):
        if path.suffix == ".safetensors":
            shapes |= tensor_shapes(path)
        else:
            tensors = torch.load(path, map_location="meta", weights_only=True, mmap=True)
            shapes |= {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return shapes


def _shape(sizes: Iterable[int]) -> str:
    return " x ".join(map(str, sizes)) or "a single number"


def _more(found: Sequence[object]) -> str:
    return f" ({len(found)} weights differ)" if len(found) > 1 else ""


def conversion_problem(error: Exception) -> str:
    """The problem when transformers could not convert a weight; it reports that only in its silenced log."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        problems = getattr(frame.f_locals.get("loading_info"), "conversion_errors", None)
        if problems:
            name, problem = sorted(problems.items())[0]
            reason = str(problem).strip().splitlines()[-1]
            return f"weight {name} cannot be made from what the files hold ({reason})"
    return ""
