"""Checks that several processes can share a model: its heads, and transformers' tensor-parallel plan."""

import re
from typing import Any

from evalsuite.checkpoints import ModelFiles
from evalsuite.errors import ModelError

LEAST_DIVIDED = 0.5
"""Least share of the weights that a plan must divide; Nemotron-H's divides only embeddings and experts."""
WHOLE = ("replicate", "replicated_with_grad_allreduce")
"""Styles of transformers' plans that replicate a weight in every process."""


def refuse_unless_divisible(files: ModelFiles, processes: int, trust_remote_code: bool = False) -> None:
    """Raise ModelError if `processes` processes cannot share the model; loads no weights."""
    config = model_config(files, trust_remote_code)
    heads = {"num_attention_heads": "attention heads", "num_key_value_heads": "key-value heads"}
    for name, what in heads.items():
        count = getattr(config.get_text_config(), name, None)
        if isinstance(count, int) and count % processes:
            raise ModelError(
                f"Model '{files.name}' has {count} {what}, which {processes} processes cannot share equally; "
                "use another number, or one process with --device spread."
            )
    divided = divided_share(files, trust_remote_code)
    if divided < LEAST_DIVIDED:
        raise ModelError(
            f"transformers' tensor-parallel plan for '{config.model_type}' divides {divided:.0%} of the "
            "weights and leaves the rest whole in every process; use one process with --device spread "
            "(device_map), without torchrun."
        )


def model_config(files: ModelFiles, trust_remote_code: bool = False) -> Any:
    """transformers' configuration of a model, also for a GGUF file."""
    from transformers import AutoConfig

    from evalsuite.engine.native.loading.linked import loader_arguments

    folder, gguf_file = loader_arguments(files)
    return AutoConfig.from_pretrained(
        folder,
        gguf_file=gguf_file,
        trust_remote_code=trust_remote_code,
        local_files_only=True,
    )


def divided_share(files: ModelFiles, trust_remote_code: bool = False) -> float:
    """Share of the weights that transformers' plan divides among processes; loads no weights."""
    import torch
    from transformers import AutoModelForCausalLM

    config = model_config(files, trust_remote_code)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    plan = {name for name, style in (model._tp_plan or {}).items() if style not in WHOLE}
    sizes: dict[str, int] = {name: weight.numel() for name, weight in model.named_parameters()}
    divided = sum(
        size
        for name, size in sizes.items()
        if {generic := re.sub(r"\d+", "*", name), generic.rpartition(".")[0]} & plan
    )
    return divided / sum(sizes.values())
