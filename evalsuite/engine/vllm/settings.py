"""The settings of the vLLM engine: arguments of `vllm.LLM`, given as `--engine-arg NAME=VALUE`."""

import json
from collections.abc import Mapping
from typing import Any

SETTINGS = frozenset(
    {
        "async_scheduling",
        "attention_backend",
        "block_size",
        "compilation_config",
        "cpu_offload_gb",
        "data_parallel_size",
        "disable_custom_all_reduce",
        "distributed_executor_backend",
        "enable_chunked_prefill",
        "enable_expert_parallel",
        "enable_prefix_caching",
        "enforce_eager",
        "gpu_memory_utilization",
        "hf_overrides",
        "kv_cache_dtype",
        "kv_cache_memory_bytes",
        "load_format",
        "mamba_cache_dtype",
        "mamba_cache_mode",
        "mamba_ssm_cache_dtype",
        "max_model_len",
        "max_num_batched_tokens",
        "max_num_seqs",
        "model_impl",
        "moe_backend",
        "optimization_level",
        "pipeline_parallel_size",
        "quantization",
        "seed",
        "tensor_parallel_size",
        "tokenizer_mode",
    }
)
"""Arguments that may change an answer, if only in the last digits."""

TUNING = frozenset({"disable_log_stats", "download_dir", "max_parallel_loading_workers", "use_tqdm_on_load"})

DEFAULTS: dict[str, Any] = {
    "enable_prefix_caching": True,
    "enable_chunked_prefill": True,
    "max_num_batched_tokens": 2048,
    "gpu_memory_utilization": 0.85,
    "logprobs_mode": "raw_logprobs",
    "disable_log_stats": True,
}
"""evalsuite's defaults.

For prompt log-probabilities, vLLM computes the logits of all prompt tokens of a step, without reserving
memory for them (its issues 5907 and 52054): with a vocabulary of 256 k, 2048 tokens need a few times 2 GiB in
float32.
"""


def llm_arguments(arguments: Mapping[str, str]) -> dict[str, Any]:
    """Keyword arguments of `vllm.LLM`: JSON values (true, 2, 0.9, {...}) are parsed, others stay text."""
    return DEFAULTS | {name: _value(text) for name, text in arguments.items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
