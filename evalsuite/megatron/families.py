"""The architectures of transformers that Megatron-Core trains, and what a configuration says about them.

Source: transformers 5.23, `configuration_llama.py`, `configuration_qwen3.py`, `configuration_nemotron.py` and
`configuration_nemotron_h.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.errors import ModelError
from evalsuite.megatron.layout import GPT_MODULES, HYBRID_MODULES, ModelLayout


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """How transformers' configuration of an architecture names what Megatron's arguments say."""

    modules: Mapping[str, str]
    activation: str
    epsilon: str
    gated: bool = False
    normalization: str = "RMSNorm"
    zero_centered: bool = False
    """Whether stored norm weights are one less than those that are multiplied."""
    position: str = "rope"


FAMILIES = {
    "llama": ModelFamily(GPT_MODULES, "hidden_act", "rms_norm_eps", gated=True),
    "qwen3": ModelFamily(GPT_MODULES, "hidden_act", "rms_norm_eps", gated=True),
    "nemotron": ModelFamily(
        GPT_MODULES, "hidden_act", "norm_eps", normalization="LayerNorm", zero_centered=True
    ),
    "nemotron_h": ModelFamily(HYBRID_MODULES, "mlp_hidden_act", "layer_norm_epsilon", position="none"),
}
LAYER_SYMBOLS = {"linear_attention": "M", "full_attention": "*", "mlp": "-", "moe": "E"}
"""Layers of a hybrid in transformers' configuration, and in Megatron's pattern."""


def family_of(model_type: object, folder: Path) -> ModelFamily:
    """The family of a `model_type`; raises ModelError if Megatron checkpoints of it cannot be read."""
    family = FAMILIES.get(str(model_type))
    if family is None:
        raise ModelError(
            f"Megatron checkpoints of the architecture in {folder / 'config.json'} ({model_type}) cannot be "
            f"read; those of {', '.join(FAMILIES)} can."
        )
    return family


def head_width(config: Any) -> int:
    """Width of an attention head."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(width)


def configuration(folder: Path) -> Any:
    """transformers' configuration object of a folder; raises ModelError if there is none."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(f"{folder / 'config.json'} is no configuration: {first_line}") from error


def layer_pattern(config: Any) -> str | None:
    """A hybrid's layers, one letter each, as Megatron writes them; None for other models."""
    if config.model_type != "nemotron_h":
        return None
    return "".join(LAYER_SYMBOLS[kind] for kind in config.layers_block_type)


def model_layout(config: Any, family: ModelFamily) -> ModelLayout:
    """Where the model's tensors are.

    Args:
        config: transformers' configuration object.
        family: of its `model_type`.
    """
    mamba = (0, 0, 0)
    if layer_pattern(config) is not None:
        heads = config.mamba_num_heads
        mamba = (heads * config.mamba_head_dim, config.n_groups * config.ssm_state_size, heads)
    return ModelLayout(
        family.modules,
        config.num_attention_heads,
        config.num_key_value_heads,
        head_width(config),
        config.vocab_size,
        family.gated,
        mamba,
    )
