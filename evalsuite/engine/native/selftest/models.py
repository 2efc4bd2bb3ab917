"""Tiny random models of each kind, with the head widths and state sizes for which the kernels are made."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from evalsuite.engine.native.loading.load import LoadedModel, ready
from evalsuite.engine.native.models import support_for
from evalsuite.engine.quiet import quiet_transformers

COMMON: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": False,
}
WINDOW = 48
"""Tokens of the sliding window: sequences of the self-test are longer."""
EXPERTS = 4
"""All of them serve every token: which of two nearly equal experts is chosen would be decided by rounding."""


@dataclass(frozen=True, slots=True)
class TinyModel:
    """A tiny model on the device, and the same weights in float64 on the CPU."""

    kind: str
    loaded: LoadedModel
    """On its plain paths."""
    exact: LoadedModel


def tiny_model(device: str, dtype: torch.dtype, kind: str) -> TinyModel:
    """A model of a kind in `MODEL_KINDS`; every device gets the same weights, rounded to `dtype`."""
    with quiet_transformers():
        model = MODEL_KINDS[kind]()
    support_for(model.config.model_type).patch(model)
    _make_random(model)
    model = model.to(dtype).eval()
    exact = copy.deepcopy(model).double()
    exact.set_experts_implementation("eager")  # the others have no float64
    parameters = frozenset(inspect.signature(exact.forward).parameters)
    return TinyModel(kind, ready(model.to(device), device), LoadedModel(exact, "cpu", (), parameters))


def _llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**COMMON))


def _mistral() -> Any:
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(**COMMON, sliding_window=WINDOW))


def _nemotron_h() -> Any:
    from transformers import NemotronHConfig, NemotronHForCausalLM

    mamba: dict[str, Any] = {
        "num_hidden_layers": 5,
        "hybrid_override_pattern": "M-M*-",
        "mamba_num_heads": 4,
        "mamba_head_dim": 64,
        "ssm_state_size": 128,
        "n_groups": 2,
    }
    return NemotronHForCausalLM(NemotronHConfig(**COMMON | mamba))


def _mixtral() -> Any:
    from transformers import MixtralConfig, MixtralForCausalLM

    experts: dict[str, Any] = {"num_local_experts": EXPERTS, "num_experts_per_tok": EXPERTS}
    return MixtralForCausalLM(MixtralConfig(**COMMON, **experts))


MODEL_KINDS: dict[str, Callable[[], Any]] = {
    "dense": _llama,
    "sliding window": _mistral,
    "hybrid (Mamba-2)": _nemotron_h,
    "mixture of experts": _mixtral,
}


def _make_random(model: Any) -> None:
    """Random weights that let every layer matter, while rounding errors do not grow from layer to layer."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("dt_bias"):
                parameter.copy_(5 * torch.rand(parameter.shape, generator=random) - 4)
            elif parameter.ndim == 1:
                parameter.copy_(0.5 + torch.rand(parameter.shape, generator=random))
            else:
                spread = parameter[0].numel() ** -0.5
                parameter.copy_(spread * torch.randn(parameter.shape, generator=random))
