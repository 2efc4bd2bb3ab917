"""Norms, activations and rotary embeddings by kernels: bit for bit the modules' own results in bfloat16."""

import importlib

import pytest
import torch
import transformers

from evalsuite.engine.native.kernels.pointwise.switch import pointwise_by
from evalsuite.engine.native.kernels.pointwise.trial import best_variant
from tests.engine.native.hybrids import HYBRIDS
from tests.engine.native.kernels.where import DEVICE, INTERPRETED

from evalsuite.engine.native.kernels.pointwise.functions import (  # isort: skip  (needs Triton)
    activated,
    rms_norm,
    rotated,
)
from evalsuite.engine.native.kernels.pointwise.modules import modules_by_kernels  # isort: skip

DTYPES = (torch.float32, torch.bfloat16)
SIZES = {
    "vocab_size": 260,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "eos_token_id": 1,
}


def decoder(family: str, **options) -> torch.nn.Module:
    """A tiny random model whose norms' weights are random, too."""
    torch.manual_seed(0)
    model_class = getattr(transformers, f"{family}ForCausalLM")
    model = model_class(model_class.config_class(**{**SIZES, **options})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.uniform_(-1, 1.5)
            else:
                parameter.normal_(0, 0.3)
    return model


def taken(model: torch.nn.Module) -> dict[str, int]:
    """Number of modules that kernels compute, by class."""
    names = [type(module).__name__ for module, _, _ in modules_by_kernels(model)]
    return {name: names.count(name) for name in sorted({*names})}


@torch.inference_mode()
def by_both(model: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Logits by the model's own code and by kernels, and how often a kernel said that it was used."""
    ids, used = torch.arange(2, 44, device=DEVICE).view(2, 21), []
    own = model(input_ids=ids, use_cache=False).logits.float()
    with pointwise_by(model, "kernels", lambda: used.append(1)):
        found = model(input_ids=ids, use_cache=False).logits.float()
    assert torch.equal(model(input_ids=ids, use_cache=False).logits.float(), own), "the kernels are off again"
    return own, found, len(used)


ENDS = ("RMSNormGated", "RMSNorm", "MLP", "ReLUSquaredActivation")
TAKEN = {
    "Llama": {"LlamaMLP": 2, "LlamaRMSNorm": 5},
    "Qwen3": {"Qwen3MLP": 2, "Qwen3RMSNorm": 9},
    "Gemma2": {"Gemma2MLP": 2, "Gemma2RMSNorm": 9},
    "Phi3": {"Phi3MLP": 2, "Phi3RMSNorm": 5},
    "Olmo2": {"Olmo2MLP": 2, "Olmo2RMSNorm": 9},
    "Nemotron": {"ReLUSquaredActivation": 2},
    "GPTNeoX": {},
    "Cohere": {"CohereMLP": 2},
}
"""By family, the modules that kernels compute, besides rotary embeddings; Cohere's have another form."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", TAKEN)
def test_a_decoder_gives_its_own_logits(family, dtype):
    model = decoder(family).to(DEVICE, dtype)
    own, found, used = by_both(model)
    assert taken(model) == TAKEN[family]
    assert used == bool(TAKEN[family]) + (0 if family == "Cohere" else 2)
    if dtype == torch.bfloat16 and INTERPRETED:  # a GPU adds up in another order
        assert torch.equal(found, own)
    assert (found - own).abs().max() <= (1e-5 if dtype == torch.float32 else 2e-2) * own.abs().max()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nemotron_h", {"RMSNorm": 7, "RMSNormGated": 3, "ReLUSquaredActivation": 2}),
        ("granitemoehybrid", {"MLP": 3, "RMSNorm": 7, "RMSNormGated": 2}),
        ("falcon_h1, gate beside the norm", {"MLP": 2, "RMSNorm": 5, "RMSNormGated": 2}),
        ("qwen3_next", {"MLP": 4, "RMSNorm": 11, "RMSNormGated": 3}),
    ],
)
def test_a_hybrid_gives_its_own_logits(name, expected, dtype):
    model = HYBRIDS[name]().to(DEVICE, dtype)
    own, found, _ = by_both(model)
    # By the ends of the classes' names: Nemotron-H's gated norm is Zamba2's in transformers 5.17.
    found_kinds = {next(end for end in ENDS if kind.endswith(end)): n for kind, n in taken(model).items()}
    assert found_kinds == expected
    if dtype == torch.bfloat16 and INTERPRETED:
        assert torch.equal(found, own)
    assert (found - own).abs().max() <= (2e-5 if dtype == torch.float32 else 2e-2) * own.abs().max()


def test_what_does_more_than_the_kernel_remains_the_models_own_code():
    model = decoder("Llama").to(DEVICE)
    own = {name: type(module).forward for name, module in model.named_modules()}

    def clamped(module, hidden):
        gate = module.gate_proj(hidden).clamp(max=10.0)
        return module.down_proj(module.act_fn(gate) * module.up_proj(hidden).clamp(-10, 10))

    def biased(module, hidden):
        return own["model.norm"](module, hidden) + 1e-3

    model.model.layers[0].mlp.forward = clamped.__get__(model.model.layers[0].mlp)
    model.model.layers[1].mlp.act_fn = torch.nn.Tanh()
    model.model.norm.forward = biased.__get__(model.model.norm)
    model.model.layers[1].input_layernorm.register_parameter("bias", torch.nn.Parameter(torch.zeros(32)))
    assert taken(model) == {"LlamaRMSNorm": 3}


def test_a_hook_that_moves_inputs_between_devices_stays():
    accelerate = importlib.import_module("accelerate.hooks")
    model, plain = decoder("Llama").to(DEVICE), decoder("Llama").to(DEVICE)
    norm, called = model.model.norm, []

    class Recording(accelerate.ModelHook):
        def pre_forward(self, module, *args, **kwargs):
            called.append(module)
            return args, kwargs

    accelerate.add_hook_to_module(norm, Recording())
    before = dict(norm.__dict__)
    own, found, _ = by_both(model)
    assert called[-3:] == [norm] * 3, "before, the trials call it"
    assert norm.__dict__ == before
    assert torch.equal(found, by_both(plain)[1])
    assert torch.equal(own, by_both(plain)[0])


def test_the_variant_that_rounds_as_the_module_does_is_chosen():
    rounding = {True: lambda x: x.bfloat16(), False: lambda x: (x * 1.003).bfloat16()}
    rows = torch.linspace(0.1, 5, 300)[None]
    for choice, own in rounding.items():
        assert best_variant(own, list(rounding.items()), [(rows,)]) is choice
    assert best_variant(lambda x: (x * 1.1).bfloat16(), list(rounding.items()), [(rows,)]) is None
    assert best_variant(lambda x: x.bfloat16()[:, 1:], list(rounding.items()), [(rows,)]) is None


def test_values_that_are_no_numbers_remain_in_their_rows():
    x = torch.randn(4, 40, device=DEVICE)
    x[1, 3] = float("nan")
    found = rms_norm(x, torch.ones(40, device=DEVICE), 1e-5, rounded=True)
    assert found.isnan().any(-1).tolist() == [False, True, False, False]
    squared = activated(x.bfloat16(), "squared_relu")
    assert squared.isnan().nonzero().tolist() == [[1, 3]]


def test_no_rows_and_columns_of_a_wider_matrix():
    wide = torch.randn(6, 100, device=DEVICE)
    weight = torch.ones(30, device=DEVICE)
    assert rms_norm(wide[:0, :30], weight, 1e-5, rounded=True).shape == (0, 30)
    assert activated(wide[:0], "silu").shape == (0, 100)
    for cut in (wide[:, 20:50], wide.T[:30].T):
        expected = torch.nn.functional.rms_norm(cut, (30,), eps=1e-5)
        torch.testing.assert_close(rms_norm(cut, weight, 1e-5, rounded=True), expected)
        torch.testing.assert_close(activated(cut, "gelu", cut), torch.nn.functional.gelu(cut) * cut)


def test_rows_of_a_batch_rotate_by_their_own_angles():
    q, k = torch.randn(3, 5, 4, 8, device=DEVICE), torch.randn(3, 5, 2, 8, device=DEVICE)
    cos, sin = torch.randn(3, 5, 6, device=DEVICE), torch.randn(3, 5, 6, device=DEVICE)
    q, k = q.transpose(1, 2), k.transpose(1, 2)
    together = rotated(q, k, cos, sin, rounded=True)
    for row in range(3):
        of_row = slice(row, row + 1)
        alone = rotated(q[of_row], k[of_row], cos[of_row], sin[of_row], rounded=True)
        for found, expected in zip(together, alone, strict=True):
            assert torch.equal(found[of_row], expected)
    shared = rotated(q, k, cos[:1], sin[:1], rounded=True)
    assert torch.equal(
        shared[0], rotated(q, k, *(part[:1].expand(3, -1, -1) for part in (cos, sin)), rounded=True)[0]
    )
    assert torch.equal(together[0][..., 6:], q[..., 6:])
