"""Under which of transformers' auto classes a model loads and gives logits for text."""

from collections.abc import Mapping
from typing import Any

AUTO_CLASSES = ("AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModelForMultimodalLM")
"""In the order in which they are tried: a container whose text model has no class of its own (Mistral-3,
Qwen3-VL) loads whole, and is fed text alone."""


def auto_class(config: Mapping[str, Any]) -> Any:
    """The class for a `config.json`; for causal language models where none knows the architecture."""
    import transformers
    from transformers import CONFIG_MAPPING

    usual = getattr(transformers, AUTO_CLASSES[0])
    family = config.get("model_type", "")
    if family not in CONFIG_MAPPING or usual.__name__ in (config.get("auto_map") or {}):
        return usual
    known = [getattr(transformers, name, usual) for name in AUTO_CLASSES]
    return next((one for one in known if CONFIG_MAPPING[family] in one._model_mapping), usual)
