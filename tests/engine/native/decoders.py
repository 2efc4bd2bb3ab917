"""Tiny random decoders of the families that packed scoring is proved for, one trap of transformers each."""

from collections.abc import Callable

import torch
import transformers

from tests.engine.tiny import BOS, EOS, VOCABULARY, tiny_gpt2, tiny_llama

COMMON = {"vocab_size": VOCABULARY, "bos_token_id": BOS, "eos_token_id": EOS, "initializer_range": 0.3}
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
WINDOWED = ["sliding_attention", "full_attention"]
CHUNKED = {
    "layer_types": ["chunked_attention", "full_attention"],
    "attention_chunk_size": 8,
    "no_rope_layers": [1, 0],
    "floor_scale": 5,
    "attn_scale": 1.0,
    "intermediate_size_mlp": 64,
    "moe_layers": [1],
    "num_local_experts": 2,
    "num_experts_per_tok": 2,
    "head_dim": 8,
}
"""Llama-4's; the temperature of its layer without rotary embedding grows every 5 tokens. Both experts are
asked, as one of two near ties is another in bfloat16."""
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}


def decoder(name: str, **options: object) -> torch.nn.Module:
    """A model of transformers' classes `<name>Config` and `<name>ForCausalLM`."""
    torch.manual_seed(0)
    model_class = getattr(transformers, f"{name}ForCausalLM")
    config_class = getattr(transformers, f"{name}TextConfig", None) or model_class.config_class
    model = model_class(config_class(**{**COMMON, **SHAPE, "pad_token_id": BOS, **options})).eval()
    assert model.config.vocab_size == VOCABULARY
    return model


DECODERS: dict[str, Callable[[], torch.nn.Module]] = {
    "llama": tiny_llama,
    "gpt2, learned positions": tiny_gpt2,
    "opt, the head takes its decoder's states": lambda: decoder(
        "OPT", ffn_dim=64, word_embed_proj_dim=24, init_std=0.3, do_layer_norm_before=True
    ),
    "gpt_neox, rotates a part": lambda: decoder("GPTNeoX", rotary_pct=0.25),
    "qwen2": lambda: decoder("Qwen2"),
    "qwen2, window": lambda: decoder(
        "Qwen2", use_sliding_window=True, sliding_window=5, max_window_layers=1, layer_types=WINDOWED
    ),
    "qwen3": lambda: decoder("Qwen3", head_dim=16),
    "mistral, window": lambda: decoder("Mistral", sliding_window=7),
    "gemma2, window and soft caps": lambda: decoder(
        "Gemma2",
        head_dim=8,
        sliding_window=6,
        layer_types=WINDOWED,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
        query_pre_attn_scalar=4,
    ),
    "gemma3, window": lambda: decoder("Gemma3", head_dim=8, sliding_window=6, layer_types=WINDOWED),
    "llama4, chunks and temperature": lambda: decoder("Llama4", **CHUNKED),
    "nemotron": lambda: decoder("Nemotron"),
    "olmo2": lambda: decoder("Olmo2"),
    "phi3": lambda: decoder("Phi3"),
    "granite, scaled logits": lambda: decoder("Granite", logits_scaling=4.0, attention_multiplier=0.3),
    "mixtral": lambda: decoder("Mixtral", num_local_experts=4, num_experts_per_tok=2),
    "qwen2_moe": lambda: decoder(
        "Qwen2Moe", **EXPERTS, num_experts=4, shared_expert_intermediate_size=32, decoder_sparse_step=1
    ),
    "gpt_oss, sinks and window": lambda: decoder(
        "GptOss",
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=6,
        layer_types=WINDOWED,
    ),
}
