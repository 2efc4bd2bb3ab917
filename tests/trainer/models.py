"""Models as trainers have them: with dropout, checkpointed, compiled, in half precision, wrapped."""

from collections.abc import Callable

import torch
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM, GPT2LMHeadModel, LlamaForCausalLM

from tests.engine.tiny import BOS, EOS, VOCABULARY, tiny_gpt2, tiny_hybrids, tiny_llama, tiny_nemotron_h


def with_dropout(seed: int = 0) -> GPT2LMHeadModel:
    config = tiny_gpt2().config
    config.attn_pdrop = config.resid_pdrop = config.embd_pdrop = 0.3
    config.n_positions = 128
    torch.manual_seed(seed)
    return GPT2LMHeadModel(config)


def tied() -> LlamaForCausalLM:
    config = tiny_llama().config
    config.tie_word_embeddings = True
    return LlamaForCausalLM(config)


def checkpointed() -> LlamaForCausalLM:
    """Gradient checkpointing as parameter-efficient training has it, with a hook on the embeddings."""
    model = tiny_llama()
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
    model.config.use_cache = False
    return model


def compiled() -> torch.nn.Module:
    return torch.compile(tiny_llama(), backend="eager")


def compiled_inside() -> torch.nn.Module:
    """A layer that is replaced by its compiled module, and one that is compiled in place."""
    model = tiny_llama()
    model.model.layers[0] = torch.compile(model.model.layers[0], backend="eager")
    model.model.layers[1].compile(backend="eager")
    return model


def in_bfloat16() -> torch.nn.Module:
    return tiny_llama().bfloat16()


def with_routing() -> DeepseekV3ForCausalLM:
    """A mixture of experts with a buffer that its router adds to the scores."""
    torch.manual_seed(0)
    config = DeepseekV3Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_group=1,
        topk_group=1,
        kv_lora_rank=16,
        q_lora_rank=24,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=8,
        first_k_dense_replace=1,
        max_position_embeddings=128,
        bos_token_id=BOS,
        eos_token_id=EOS,
        initializer_range=0.3,
    )
    return DeepseekV3ForCausalLM(config)


def under_accelerate() -> torch.nn.Module:
    """As the Trainer of transformers prepares it with `bf16=True`: its forward method is another one."""
    import accelerate

    return accelerate.Accelerator(mixed_precision="bf16", cpu=True).prepare(tiny_llama())


FAMILIES: dict[str, Callable[[], torch.nn.Module]] = {
    "llama": tiny_llama,
    "dropout": with_dropout,
    "tied": tied,
    "checkpointed": checkpointed,
    "compiled": compiled,
    "compiled inside": compiled_inside,
    "bfloat16": in_bfloat16,
    "routing": with_routing,
    "accelerate": under_accelerate,
    "nemotron-h": tiny_nemotron_h,
    "gemma3": lambda: tiny_hybrids()["gemma3"],
}


class Plain(torch.nn.Module):
    """A module of nobody's library: attention over all earlier tokens, and a counter that its passes write.

    Args:
        pads: whether what a row gives is independent of the rows beside it.
        causal: whether a token sees only earlier ones.
    """

    def __init__(self, *, pads: bool = True, causal: bool = True) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.pads, self.causal = pads, causal
        self.embedding = torch.nn.Embedding(VOCABULARY, 16)
        self.positions = torch.nn.Embedding(512, 16)
        self.query, self.key, self.value = (torch.nn.Linear(16, 16) for _ in range(3))
        self.dropout = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(16, VOCABULARY)
        self.register_buffer("seen", torch.zeros(()))
        self.longest = 0

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        self.seen += ids.numel()
        self.longest = max(self.longest, ids.shape[1])
        hidden = self.embedding(ids) + self.positions(torch.arange(ids.shape[1]))
        scores = self.query(hidden) @ self.key(hidden).mT
        if self.causal:
            scores = scores.masked_fill(torch.ones(scores.shape[1:]).triu(1).bool(), float("-inf"))
        if not self.pads:
            scores = scores / ids.shape[1]
        return self.head(self.dropout(scores.softmax(-1) @ self.value(hidden)) + hidden) * 3
