"""Tiny random models and a byte tokenizer: milliseconds each, and every architecture that matters."""

import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    BambaConfig,
    BambaForCausalLM,
    FalconH1Config,
    FalconH1ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Mamba2Config,
    Mamba2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    NemotronHConfig,
    NemotronHForCausalLM,
    PreTrainedTokenizerFast,
)

from evalsuite.engine.native.loading.load import LoadedModel, ready

VOCABULARY = 260
BOS, EOS = 0, 1


def tiny_llama(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=BOS,
        eos_token_id=EOS,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


def with_special(tokenizer: PreTrainedTokenizerFast, token: int, text: str) -> PreTrainedTokenizerFast:
    """The tokenizer with another spelling for one of its tokens, which is special now."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {
        text if place == token else piece: place for piece, place in vocabulary.items()
    }
    inner = Tokenizer.from_str(json.dumps(content))
    inner.add_special_tokens([AddedToken(text, special=True)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=tokenizer.bos_token, eos_token=tokenizer.eos_token
    )


def tiny_gpt2(seed: int = 0) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        bos_token_id=BOS,
        eos_token_id=EOS,
        initializer_range=0.3,
    )
    return GPT2LMHeadModel(config).eval()


def tiny_nemotron_h(seed: int = 0) -> NemotronHForCausalLM:
    """With time steps small enough that a floor of 0.001 under them is seen in every logit."""
    torch.manual_seed(seed)
    config = NemotronHConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        head_dim=8,
        hybrid_override_pattern="M-M*M-",
        num_attention_heads=4,
        num_key_value_heads=2,
        ssm_state_size=16,
        mamba_num_heads=8,
        mamba_head_dim=8,
        n_groups=2,
        chunk_size=8,
        max_position_embeddings=128,
        bos_token_id=BOS,
        eos_token_id=EOS,
        initializer_range=0.3,
    )
    model = NemotronHForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("dt_bias"):
                parameter.fill_(-9.0)
    return model


def tiny_hybrids(seed: int = 0) -> dict[str, torch.nn.Module]:
    """The other families with recurrent states or windows, each with traps of its own in transformers."""
    torch.manual_seed(seed)
    common = {"vocab_size": VOCABULARY, "hidden_size": 32, "bos_token_id": BOS, "eos_token_id": EOS}
    attention = {"intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    scan = {
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 16,
        "mamba_n_groups": 1,
        "mamba_chunk_size": 8,
    }
    wild = {"initializer_range": 0.3}
    return {
        "mamba": MambaForCausalLM(MambaConfig(**common, **wild, num_hidden_layers=2, state_size=8)),
        "mamba2": Mamba2ForCausalLM(
            Mamba2Config(
                **common,
                **wild,
                num_hidden_layers=2,
                num_heads=8,
                head_dim=8,
                state_size=16,
                n_groups=2,
                chunk_size=8,
            )
        ),
        "bamba": BambaForCausalLM(
            BambaConfig(**common, **attention, **scan, **wild, num_hidden_layers=3, attn_layer_indices=[1])
        ),
        "falcon_h1": FalconH1ForCausalLM(
            FalconH1Config(**common, **attention, **scan, **wild, num_hidden_layers=2, mamba_d_ssm=64)
        ),
        "gemma3": Gemma3ForCausalLM(
            Gemma3TextConfig(
                **common,
                **attention,
                **wild,
                num_hidden_layers=2,
                sliding_window=6,
                layer_types=["sliding_attention", "full_attention"],
            )
        ),
    }


def loaded(model: torch.nn.Module) -> LoadedModel:
    return ready(model, "cpu")


@torch.inference_mode()
def log_probs_alone(
    model: torch.nn.Module, context: tuple[int, ...], continuation: tuple[int, ...]
) -> list[float]:
    """The plainest way: one sequence, all logits, log-softmax."""
    ids = torch.tensor([context + continuation])
    logits = model(input_ids=ids[:, :-1]).logits[0].float().log_softmax(-1)
    return [logits[len(context) - 1 + step, token].item() for step, token in enumerate(continuation)]


@torch.inference_mode()
def greedy_alone(model: torch.nn.Module, context: tuple[int, ...], count: int) -> list[int]:
    """Greedy tokens, each from a full pass over everything before it."""
    ids = list(context)
    for _ in range(count):
        ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(context) :]


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, after `<s>` and `</s>`; adds nothing by default."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: index for index, text in enumerate(["<s>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def save(model: torch.nn.Module, folder: Path) -> Path:
    """A model folder as the hub has them."""
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


class WordTokenizer:
    """A tokenizer in ten lines whose merges are plain to see: longest known word first, else one letter."""

    def __init__(
        self,
        words: str = "",
        *,
        bos: str = "",
        adds_bos: bool = False,
        eos: bool = True,
        appends: tuple[int, ...] = (),
    ) -> None:
        self.appends = appends
        self.bos_text = bos
        self.adds_bos = adds_bos
        self.known = [bos] * bool(bos) + sorted(words.split("|"), key=len, reverse=True)
        self.bos_id = 1 if bos else None
        self.eos_id = 2 if eos else None
        self.prefix_id = self.eos_id if self.bos_id is None else self.bos_id
        self.calls: list[list[str]] = []

    def encode(self, texts: list[str], *, special_tokens: bool) -> list[list[int]]:
        self.calls.append(list(texts))
        before, after = ([1] * self.adds_bos, [*self.appends]) if special_tokens else ([], [])
        return [before + self._ids(text) + after for text in texts]

    def _ids(self, text: str) -> list[int]:
        ids = []
        while text:
            word = next((word for word in self.known if word and text.startswith(word)), text[0])
            ids.append(1 if word == self.bos_text else self.id_of(word))
            text = text[len(word) :]
        return ids

    def id_of(self, word: str) -> int:
        return 1000 + self.known.index(word) if word in self.known else 10 + ord(word)

    def decode(self, ids: list[int]) -> str:
        texts = {1: "", 2: ""}
        return "".join(texts.get(i, self.known[i - 1000] if i >= 1000 else chr(max(i - 10, 0))) for i in ids)
