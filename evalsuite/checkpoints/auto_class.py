"""Which of transformers' auto classes loads a model that gives logits for text."""

from collections.abc import Mapping
from typing import Any

AUTO_CLASSES = ("AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModelForMultimodalLM")
"""In order of trial. Containers whose text model has no own class (Mistral-3, Qwen3-VL) are loaded whole."""


def auto_class(config: Mapping[str, Any]) -> Any:
    """The auto class for a `config.json`; AutoModelForCausalLM if no auto class knows the architecture.

    Containers of several models are fed text only.
    """
    import transformers
    from transformers import CONFIG_MAPPING

    causal = getattr(transformers, AUTO_CLASSES[0])
    family = config.get("model_type", "")
    if family not in CONFIG_MAPPING or causal.__name__ in (config.get("auto_map") or {}):
        return causal
    candidates = [getattr(transformers, name, causal) for name in AUTO_CLASSES]
    return next((kind for kind in candidates if CONFIG_MAPPING[family] in kind._model_mapping), causal)
