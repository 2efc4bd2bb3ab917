"""Tiny configurations of every architecture that transformers loads as a causal language model.

A configuration keeps its family's own defaults except for what makes it large: sizes by the names of their
fields, kinds of layers each once or more, windows, chunks and blocks so short that texts pass them.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import transformers

VOCABULARY, BOS, EOS, PAD = 260, 0, 1, 0
WIDTH, HEADS, POSITIONS = 32, 4, 256

SIZES: dict[str, Any] = {
    **dict.fromkeys(
        ["hidden_size", "d_model", "n_embd", "emb_dim", "lru_width", "attention_hidden_size"], WIDTH
    ),
    **dict.fromkeys(
        ["embedding_size", "embedding_dim", "word_embed_proj_dim", "input_embedding_size"], WIDTH
    ),
    **dict.fromkeys(["num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"], HEADS),
    **dict.fromkeys(["decoder_attention_heads", "encoder_attention_heads", "linear_num_heads"], HEADS),
    **dict.fromkeys(["num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"], 4),
    **dict.fromkeys(["encoder_layers", "num_encoder_layers", "num_decoder_layers"], 2),
    **dict.fromkeys(["num_encoder_attention_heads", "num_decoder_attention_heads"], HEADS),
    **dict.fromkeys(
        ["intermediate_size", "ffn_dim", "decoder_ffn_dim", "encoder_ffn_dim", "dff", "dim_ff"], 48
    ),
    **dict.fromkeys(["ffn_hidden_size", "feed_forward_size", "n_inner", "d_inner"], 48),
    **dict.fromkeys(["num_key_value_heads", "num_kv_heads", "linear_num_key_heads"], 2),
    **dict.fromkeys(["head_dim", "d_head", "dim_head", "kv_channels", "rotary_dim", "index_head_dim"], 8),
    **dict.fromkeys(
        ["max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "context_length"], POSITIONS
    ),
    **dict.fromkeys(["max_target_positions", "max_source_positions", "model_max_length"], POSITIONS),
    **dict.fromkeys(["moe_intermediate_size", "expert_ffn_hidden_size", "shared_intermediate_size"], 24),
    **dict.fromkeys(["shared_expert_intermediate_size", "shared_experts_intermediate_size"], 24),
    **dict.fromkeys(["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"], 4),
    **dict.fromkeys(["num_experts_per_tok", "moe_topk", "moe_k", "num_experts_per_token"], 2),
    **dict.fromkeys(
        ["n_group", "topk_group", "num_expert_group", "first_k_dense_replace", "n_shared_experts"], 1
    ),
    **dict.fromkeys(["num_shared_experts", "moe_num_shared_experts", "num_dense_layers"], 1),
    **dict.fromkeys(["vocab_size", "decoder_vocab_size", "vocab_size_per_layer_input"], VOCABULARY),
    **dict.fromkeys(["n_heads_ssm", "mamba_n_heads", "n_mamba_heads", "mamba_num_heads"], 8),
    **dict.fromkeys(
        ["mamba_d_head", "mamba_headdim", "mamba_head_dim", "ssm_state_size", "mamba_d_state"], 8
    ),
    **dict.fromkeys(["mamba_n_groups", "mamba_ngroups", "n_groups"], 2),
    **dict.fromkeys(["mamba_chunk_size", "chunk_size"], 8),
    **dict.fromkeys(["mamba_dt_rank", "time_step_rank", "linear_conv_kernel_dim"], 4),
    **dict.fromkeys(["linear_key_head_dim", "linear_value_head_dim", "linear_head_dim", "state_size"], 8),
    **dict.fromkeys(
        ["layerdrop", "dropout", "attention_dropout", "activation_dropout", "hidden_dropout_prob"], 0.0
    ),
    **dict.fromkeys(["attention_probs_dropout_prob", "resid_pdrop", "embd_pdrop", "attn_pdrop"], 0.0),
    "linear_num_value_heads": HEADS,
    "index_n_heads": 16,
    "num_nextn_predict_layers": 0,
    "mamba_expand": 2,
    "hidden_size_per_layer_input": 8,
    "initializer_range": 0.3,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
}
# Few heads of an indexer give many keys a score of exactly 0, and which of equals are taken depends on the
# row's length.
WINDOWS = (
    "sliding_window",
    "index_topk",
    "attention_chunk_size",
    "sliding_window_size",
    "attention_window_size",
    "window_size",
)
"""How far a token sees, by the names of its field; only where a family has one by default, or in
`SPECIAL`."""
LATENT = {
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 12,
    "num_key_value_heads": HEADS,
    "head_dim": 8,
    "qk_head_dim": 16,
}
"""Attention over compressed keys and values."""
SLIDING = ["sliding_attention", "full_attention"] * 2
DELTA = ["linear_attention", "linear_attention", "full_attention", "linear_attention"]
SPARSE = ["dense", "sparse", "sparse", "sparse"]
DECODER = {"is_decoder": True, "is_encoder_decoder": False, "decoder_layers": 2}
MASKED = {"is_decoder": True}
TWO_ROPES = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    "full_attention": {"rope_type": "default", "rope_theta": 1e6},
}


def special(window: int) -> dict[str, dict[str, Any]]:
    """What single families need besides."""
    windowed = {"layer_types": SLIDING, "sliding_window": window}
    indexed = {
        **LATENT,
        "mlp_layer_types": SPARSE,
        "layer_types": ["indexed_attention"] * 4,
        "index_topk": window,
    }
    per_layer = {
        "per_layer_config": {"1": {"head_dim": 16}, "3": {"head_dim": 16}},
        "num_kv_shared_layers": 0,
    }
    return {
        **_each(
            ["cohere2", "cwm", "gemma2", "gemma3_text", "kolibri1", "ministral", "olmo3", "vaultgemma"],
            windowed,
        ),
        **_each(
            [
                "bart",
                "mbart",
                "pegasus",
                "plbart",
                "mvp",
                "blenderbot",
                "blenderbot-small",
                "marian",
                "trocr",
            ],
            DECODER,
        ),
        **_each(
            ["bert", "bert-generation", "camembert", "data2vec-text", "ernie", "megatron-bert", "roberta"],
            MASKED,
        ),
        **_each(
            ["roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod", "electra", "roformer"], MASKED
        ),
        **_each(["qwen2", "qwen3"], {**windowed, "use_sliding_window": True, "max_window_layers": 1}),
        **_each(["mistral", "mixtral", "phi3", "starcoder2"], {"sliding_window": window}),
        **_each(["deepseek_v2", "deepseek_v3", "axk1", "minicpm3", "youtu", "glm4_moe_lite"], LATENT),
        **_each(["deepseek_v32", "glm_moe_dsa", "hy_v4", "axk2"], indexed),
        **_each(["qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"], {"layer_types": DELTA}),
        **_each(
            ["lfm2", "lfm2_moe"], {"layer_types": ["conv", "full_attention"] * 2, "full_attn_idxs": None}
        ),
        **_each(["gemma4_text", "gemma4_unified_text"], {**windowed, **per_layer}),
        **_each(["mellum"], {**windowed, "mlp_layer_types": ["sparse"] * 4}),
        **_each(["exaone4", "exaone_moe"], {**windowed, "sliding_window_pattern": 2}),
        **_each(["granite_swa", "granitemoe_swa"], {**windowed, "layer_rope_theta": [1e4] * 4}),
        **_each(["olmo", "olmoe"], {"clip_qkv": 4.0, "num_key_value_heads": HEADS}),
        **_each(
            ["kimi_linear", "bailing_hybrid"],
            {**LATENT, "q_lora_rank": None, "layer_types": DELTA, "mlp_layer_types": SPARSE},
        ),
        "afmoe": windowed,
        "aria_text": {"moe_topk": 2},
        "bamba": {"attn_layer_indices": [1, 3]},
        "beam": {**windowed, "mlp_layer_types": SPARSE},
        "big_bird": {**MASKED, "attention_type": "original_full"},
        "bigbird_pegasus": {**DECODER, "attention_type": "original_full"},
        "cohere_compass_text": {**windowed, "rope_parameters": TWO_ROPES},
        "cohere2_moe": {**windowed, "mlp_layer_types": SPARSE, "prefix_dense_intermediate_size": 48},
        "cpmant": {
            "prompt_length": 4,
            "prompt_types": 4,
            "segment_types": 4,
            "position_bias_max_distance": 64,
        },
        "dbrx": {
            "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 1e4},
            "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
        },
        "dots1": windowed,
        "dots3_note_text": {
            **indexed,
            "layer_types": ["indexed_attention", "sliding_attention"] * 2,
            "swa_num_attention_heads": HEADS,
            "swa_num_key_value_heads": HEADS,
            "swa_q_lora_rank": 16,
            "swa_kv_lora_rank": 16,
            "swa_head_dim": 16,
            "swa_qk_nope_head_dim": 8,
            "swa_v_head_dim": 12,
            "swa_qk_rope_head_dim": 8,
            "sliding_window": window,
        },
        "doge": {"keep_window_size": window, "is_moe": False, "sliding_window": None},
        "falcon": {"num_kv_heads": 2, "new_decoder_architecture": True, "alibi": False},
        "falcon_h1": {"mamba_d_ssm": 64, "mamba_rms_norm": True},
        "flint": {**windowed, "mlp_only_layers": [0]},
        "gemma3n_text": {
            **windowed,
            "intermediate_size": [48] * 4,
            "num_kv_shared_layers": 2,
            "laurel_rank": 4,
            "activation_sparsity_pattern": [0.5, 0.5, 0.0, 0.0],
            "altup_num_inputs": 2,
        },
        "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": window},
        "gpt_oss": {**windowed, "intermediate_size": 24},
        "granite": {"logits_scaling": 4.0, "attention_multiplier": 0.3, "embedding_multiplier": 3.0},
        "granitemoehybrid": {
            "layer_types": ["linear_attention", "full_attention"] * 2,
            "position_embedding_type": "rope",
        },
        "hrm_text": {
            "num_hidden_layers": 16,
            "num_layers_per_stack": 2,
            "H_cycles": 2,
            "L_cycles": 3,
            "prefix_lm": False,
        },
        "jamba": {
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
        },
        "laguna": {**windowed, "mlp_layer_types": SPARSE, "num_attention_heads_per_layer": [HEADS] * 4},
        "lfm3": {
            "layer_types": ["conv", "full_attention", "conv", "sliding_attention"],
            "sliding_window": window,
        },
        "llama4_text": {
            "layer_types": ["chunked_attention", "full_attention"] * 2,
            "attention_chunk_size": window,
            "no_rope_layers": [1, 0, 1, 0],
            "moe_layers": [1, 3],
            "intermediate_size_mlp": 48,
            "num_experts_per_tok": 1,
        },
        "longcat_flash": {**LATENT, "num_layers": 2, "zero_expert_num": 2},
        "mamba": {"intermediate_size": 64},
        "falcon_mamba": {"intermediate_size": 64},
        "mamba2": {"num_heads": 8},
        "mimo_v2_flash": {**windowed, "mlp_layer_types": SPARSE, "v_head_dim": 8},
        "minimax": {"layer_types": ["full_attention", "linear_attention"] * 2, "block_size": 16},
        "minimax_m3_vl_text": {
            "layer_types": ["full_attention", "minimax_m3_sparse"] * 2,
            "mlp_layer_types": SPARSE,
            "index_n_heads": 2,
            "index_block_size": 4,
            "index_topk_blocks": max(2, window // 4),
            "index_local_blocks": 1,
            "dense_intermediate_size": 48,
        },
        "modernbert-decoder": {"layer_types": SLIDING, "local_attention": 2 * window},
        "mpt": {"attn_config": {"alibi": True}},
        "nemotron_h": {
            "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"],
            "num_hidden_layers": 4,
        },
        "olmo_hybrid": {"layer_types": DELTA, "linear_num_key_heads": HEADS, "num_key_value_heads": HEADS},
        "opt": {"init_std": 0.3},
        "prophetnet": {**DECODER, "num_decoder_layers": 2, "add_cross_attention": False},
        "recurrent_gemma": {
            "block_types": ["recurrent", "attention"],
            "attention_window_size": window,
            "num_key_value_heads": 1,
        },
        "reformer": {
            "is_decoder": True,
            "num_hidden_layers": 2,
            "attention_head_size": 8,
            "axial_pos_embds": False,
            "num_buckets": 4,
            "attn_layers": ["local", "lsh"],
            "local_attn_chunk_length": 8,
            "lsh_attn_chunk_length": 8,
            "hash_seed": 0,
        },
        "rembert": {**MASKED, "output_embedding_size": WIDTH},
        "roc_bert": {
            **MASKED,
            "pronunciation_embed_dim": 8,
            "pronunciation_vocab_size": VOCABULARY,
            "shape_embed_dim": 8,
            "shape_vocab_size": VOCABULARY,
        },
        "rwkv": {"attention_hidden_size": WIDTH},
        "smollm3": {"no_rope_layers": [1, 0, 1, 0], "layer_types": ["full_attention"] * 4},
        "whisper": {**DECODER, "num_mel_bins": 16},
        "xlm": {"causal": True},
        "xlnet": {"attn_type": "uni"},
        "xlstm": {"num_blocks": 2, "num_hidden_layers": 2, "chunk_size": 16},
        "zamba": {
            "layers_block_type": ["linear_attention", "hybrid"] * 2,
            "attention_hidden_size": 2 * WIDTH,
            "attention_head_dim": 16,
            "num_key_value_heads": HEADS,
            "n_mamba_heads": 2,
        },
        "zamba2": {
            "layers_block_type": ["linear_attention", "hybrid"] * 2,
            "hybrid_layer_ids": [1, 3],
            "num_mem_blocks": 2,
            "adapter_rank": 4,
            "use_shared_attention_adapter": True,
            "use_mem_rope": True,
            "num_key_value_heads": HEADS,
            "attention_hidden_size": 2 * WIDTH,
            "attention_head_dim": 16,
        },
        "zaya": {
            "layer_types": ["hybrid", "hybrid_sliding"] * 2,
            "router_hidden_size": 16,
            "sliding_window": window,
            "num_experts_per_tok": 1,
        },
        **_each(["nanochat", "jais2"], {"num_key_value_heads": HEADS}),
    }


def _each(families: list[str], values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The same values for several families."""
    return dict.fromkeys(families, values)


VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
CONTAINERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma3": (
        "gemma3_text",
        {"vision_config": {**VISION, "image_size": 28, "patch_size": 14}, "mm_tokens_per_image": 4},
    ),
    "gemma3n": ("gemma3n_text", {}),
    "gemma4": ("gemma4_text", {}),
    "gemma4_unified": ("gemma4_unified_text", {}),
    "qwen3_5": ("qwen3_5_text", {}),
    "qwen3_5_moe": ("qwen3_5_moe_text", {}),
    "llama4": ("llama4_text", {}),
    "dots3_note": ("dots3_note_text", {}),
    "moss_transcribe_diarize": ("qwen3", {}),
    "fuyu": ("persimmon", {}),
    "got_ocr2": (
        "qwen2",
        {
            "vision_config": {
                **VISION,
                "output_channels": 8,
                "image_size": 64,
                "patch_size": 16,
                "mlp_dim": 16,
                "global_attn_indexes": [0],
            }
        },
    ),
}
"""The text model of a container, and the container's other values."""


def small_config(family: str, window: int) -> Any:
    """A tiny configuration of a `model_type`; windows and the like have `window` tokens.

    Raises:
        Exception: of any kind, where the family needs values that are not known here.
    """
    if family in CONTAINERS:
        text, others = CONTAINERS[family]
        return transformers.CONFIG_MAPPING[family](text_config=small_config(text, window), **others)
    config_class = transformers.CONFIG_MAPPING[family]
    known = _names(config_class)
    values = {name: value for name, value in SIZES.items() if name in known}
    defaults = _defaults(config_class)
    values |= {name: window for name in WINDOWS if defaults.get(name) is not None}
    own = special(window).get(family, {})
    latent = {name: value for name, value in own.items() if name in known or name not in LATENT}
    return config_class(**{**values, **_layer_kinds(defaults, own), **latent})


def _names(config_class: Callable[..., Any]) -> set[str]:
    declared = {field.name for field in fields(config_class)} if is_dataclass(config_class) else set()
    return declared | set(_defaults(config_class))


def _defaults(config_class: Callable[..., Any]) -> dict[str, Any]:
    try:
        return config_class().to_dict()
    except Exception:  # a family without defaults of its own
        return {}


def _layer_kinds(defaults: dict[str, Any], own: dict[str, Any]) -> dict[str, list[str]]:
    """Each kind of layer that a family has by default, in turn, for as many layers as are made."""
    count = own.get("num_hidden_layers", SIZES["num_hidden_layers"])
    found = {}
    for name in ("layer_types", "mlp_layer_types"):
        kinds = [*dict.fromkeys(defaults.get(name) or [])]
        if kinds:
            found[name] = [kinds[at % len(kinds)] for at in range(count)]
    return found
