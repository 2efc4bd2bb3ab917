"""Configurations of models that an H100 or its kin would run, as facts; nothing is downloaded.

Nemotron-H's are those of NVIDIA's Megatron-Bridge and NeMo; the order of the 47B's and 56B's layers is ours,
their numbers are right.
"""

from dataclasses import dataclass, replace
from typing import Any

GB = 10**9

NEMOTRON_H = {
    "model_type": "nemotron_h",
    "vocab_size": 131072,
    "max_position_embeddings": 8192,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "mamba_head_dim": 64,
    "n_groups": 8,
    "conv_kernel": 4,
    "chunk_size": 128,
}
LARGE = {
    **NEMOTRON_H,
    "hidden_size": 8192,
    "num_attention_heads": 64,
    "mamba_num_heads": 256,
    "ssm_state_size": 256,
}
DENSE = {"num_key_value_heads": 8, "max_position_embeddings": 8192}


@dataclass(frozen=True)
class Facts:
    """A model: transformers' name of its classes, its configuration, and its number of parameters."""

    name: str
    config: dict[str, Any]
    parameters: float

    @property
    def weights(self) -> int:
        """Bytes of the weights in bfloat16."""
        return int(2 * self.parameters)


FACTS = {
    "1B dense": Facts(
        "Llama",
        {
            **DENSE,
            "model_type": "llama",
            "vocab_size": 128256,
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "head_dim": 64,
            "tie_word_embeddings": True,
        },
        1.236e9,
    ),
    "8B dense": Facts(
        "Llama",
        {
            **DENSE,
            "model_type": "llama",
            "vocab_size": 128256,
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
        },
        8.030e9,
    ),
    "32B dense": Facts(
        "Qwen3",
        {
            **DENSE,
            "model_type": "qwen3",
            "vocab_size": 151936,
            "hidden_size": 5120,
            "intermediate_size": 25600,
            "num_hidden_layers": 64,
            "num_attention_heads": 64,
            "head_dim": 128,
        },
        32.762e9,
    ),
    "12B windows": Facts(
        "Gemma3",
        {
            "model_type": "gemma3_text",
            "vocab_size": 262208,
            "hidden_size": 3840,
            "intermediate_size": 15360,
            "num_hidden_layers": 48,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 256,
            "sliding_window": 1024,
            "layer_types": [("sliding" if (layer + 1) % 6 else "full") + "_attention" for layer in range(48)],
            "max_position_embeddings": 131072,
        },
        11.766e9,
    ),
    "8B hybrid": Facts(
        "NemotronH",
        {
            **NEMOTRON_H,
            "hybrid_override_pattern": "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
            "hidden_size": 4096,
            "intermediate_size": 21504,
            "num_attention_heads": 32,
            "mamba_num_heads": 128,
            "ssm_state_size": 128,
        },
        8.101e9,
    ),
    "47B hybrid": Facts(
        "NemotronH",
        {
            **LARGE,
            "hybrid_override_pattern": ("M-" * 9 + "*-") * 3 + ("M-" * 9 + "*") * 2,
            "intermediate_size": 30720,
        },
        46.792e9,
    ),
    "56B hybrid": Facts(
        "NemotronH",
        {
            **LARGE,
            "hybrid_override_pattern": ("M-" * 5 + "*") * 10 + "M-" * 4,
            "intermediate_size": 32768,
        },
        56.324e9,
    ),
}


def few_layers(name: str, layers_of_one_kind: int = 1) -> Facts:
    """The same model at its full width with few layers, some of each kind."""
    facts = FACTS[name]
    pattern = facts.config.get("hybrid_override_pattern")
    layers = {"hybrid_override_pattern": "M-*"} if pattern else {"num_hidden_layers": layers_of_one_kind}
    if "layer_types" in facts.config:
        layers = {"num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"]}
    return replace(facts, config={**facts.config, **layers})
