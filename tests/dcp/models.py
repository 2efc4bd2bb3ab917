"""Tiny models of the architectures that raw checkpoints are tested with."""

from pathlib import Path

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    NemotronConfig,
    NemotronForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Olmo3Config,
    Olmo3ForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tests.engine.tiny import BOS, EOS, VOCABULARY, save, tiny_nemotron_h

SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": BOS,
    "initializer_range": 0.3,
}
FAMILIES = {
    "llama": lambda **more: LlamaForCausalLM(LlamaConfig(**SHAPE | more)),
    "qwen3": lambda **more: Qwen3ForCausalLM(Qwen3Config(**SHAPE | {"head_dim": 16} | more)),
    "nemotron": lambda **more: NemotronForCausalLM(NemotronConfig(**SHAPE | more)),
    "olmo2": lambda **more: Olmo2ForCausalLM(Olmo2Config(**SHAPE | more)),
    "olmo3": lambda **more: Olmo3ForCausalLM(Olmo3Config(**SHAPE | more)),
    "nemotron_h": lambda **_: tiny_nemotron_h(),
}


def tiny(family: str, seed: int = 0, **more: object) -> PreTrainedModel:
    """A model with random weights, norms included."""
    torch.manual_seed(seed)
    model = FAMILIES[family](**more).eval()
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "norm" in name:
                values.add_(0.2 * torch.randn_like(values))
    return model


def config_folder(model: PreTrainedModel, folder: Path) -> Path:
    """Configuration and tokenizer of a model, as `--model-config` takes them."""
    save(model, folder)
    for path in folder.glob("*.safetensors"):
        path.unlink()
    return folder
