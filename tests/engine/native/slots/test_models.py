"""Every family that transformers serves with a cache: greedy with slots is greedy one at a time."""

import pytest
import torch
from transformers import (
    FalconMambaConfig,
    FalconMambaForCausalLM,
    GraniteMoeHybridConfig,
    GraniteMoeHybridForCausalLM,
    Zamba2Config,
    Zamba2ForCausalLM,
)

from evalsuite.engine.native.generate_batch import generate_batch
from evalsuite.engine.native.models.nemotron_h import restore_time_step_limit
from evalsuite.engine.native.row import GrowingRows
from evalsuite.engine.native.slots.capacity import SlotCapacity
from evalsuite.engine.native.slots.fit import fit_for_slots, largest_difference
from evalsuite.engine.native.slots.forward import SlotModel, Slots
from evalsuite.engine.native.slots.generate import generate_in_slots
from evalsuite.engine.planning.prefixes import plan_slots
from tests.engine.native.decoders import DECODERS, decoder
from tests.engine.native.hybrids import HYBRIDS as WALKING
from tests.engine.native.test_generate_batch import Bytes, greedy
from tests.engine.tiny import BOS, EOS, VOCABULARY, loaded, tiny_hybrids, tiny_llama, tiny_nemotron_h

SHOTS, OTHER_SHOTS = tuple(range(50, 83)), tuple(range(120, 150))
REQUESTS = [
    *(
        greedy((*SHOTS, *own), count)
        for own, count in [((5, 6, 7), 9), ((20,), 12), ((31, 32), 3), ((9, 8, 7, 6, 5), 7)]
    ),
    *(
        greedy((*OTHER_SHOTS, *own), count)
        for own, count in [((5, 4), 8), ((21, 22, 23), 5), ((40,), 1), ((3,), 9)]
    ),
    greedy((7,), 6),
]


def patched_nemotron_h():
    model = tiny_nemotron_h()
    restore_time_step_limit(model)
    return model


def tiny_granite_hybrid():
    torch.manual_seed(0)
    config = GraniteMoeHybridConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["mamba", "attention", "mamba"],
        mamba_n_heads=8,
        mamba_d_head=8,
        mamba_d_state=16,
        mamba_n_groups=1,
        mamba_chunk_size=8,
        shared_intermediate_size=64,
        num_local_experts=0,
        bos_token_id=BOS,
        eos_token_id=EOS,
        initializer_range=0.3,
        position_embedding_type="rope",
    )
    return GraniteMoeHybridForCausalLM(config)


def tiny_zamba2():
    torch.manual_seed(0)
    config = Zamba2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        attention_head_dim=16,
        mamba_d_state=16,
        mamba_headdim=8,
        mamba_expand=2,
        n_mamba_heads=8,
        mamba_ngroups=1,
        chunk_size=8,
        layers_block_type=["mamba", "hybrid", "mamba", "hybrid"],
        num_mem_blocks=1,
        use_mem_rope=True,
        bos_token_id=BOS,
        eos_token_id=EOS,
        initializer_range=0.3,
        time_step_min=0.02,
    )
    return Zamba2ForCausalLM(config)


LATENT = {
    "kv_lora_rank": 12,
    "q_lora_rank": 12,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 12,
    "head_dim": 4,
    "num_key_value_heads": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
}

HYBRIDS = {
    "nemotron_h": patched_nemotron_h,
    **{name: lambda name=name: tiny_hybrids()[name] for name in ("mamba2", "bamba", "falcon_h1")},
    "granitemoehybrid": tiny_granite_hybrid,
    "zamba2, a floor under dt": tiny_zamba2,
    **{
        name: WALKING[name]
        for name in ("lfm2, convolutions", "qwen3_next", "qwen3_5", "olmo_hybrid", "kimi_linear")
    },
    "deepseek_v3, keys made after the cache": lambda: decoder("DeepseekV3", **LATENT, rope_interleave=True),
    "deepseek_v2, keys made after the cache": lambda: decoder("DeepseekV2", **LATENT, topk_method="greedy"),
}


@pytest.mark.parametrize("name", [*DECODERS, *(name for name in HYBRIDS if "floor" not in name)])
def test_greedy_with_slots_is_greedy_one_at_a_time(name):
    ready = loaded({**DECODERS, **HYBRIDS}[name]().eval())
    model, reason = fit_for_slots(ready)
    assert reason == ""
    prompts = plan_slots(REQUESTS)
    assert {one.shared for one in prompts} == {SHOTS, OTHER_SHOTS, ()}
    work = generate_in_slots(
        model, GrowingRows(ready, Bytes(), 64), prompts, SlotCapacity(slots=3, tokens=64)
    )
    answers = dict(one for done in work for one in done.answers)
    assert len(answers) == len(REQUESTS)
    for request in REQUESTS:
        ((alone,),) = generate_batch(ready, Bytes(), 64, [request])
        assert alone == (request, answers[request])


@pytest.mark.parametrize(
    "name",
    [
        "nemotron_h",
        "mamba2",
        "bamba",
        "falcon_h1",
        "granitemoehybrid",
        "lfm2, convolutions",
        "qwen3_next",
        "olmo_hybrid",
    ],
)
def test_recurrent_layers_prompts_of_unequal_length_are_padded(name):
    assert SlotModel.of(loaded(HYBRIDS[name]().eval())).pads


def test_a_floor_that_only_prompts_have_is_found_by_passes_without_a_cache():
    model, reason = fit_for_slots(loaded(tiny_zamba2().eval()))
    assert model is None
    assert "off by" in reason


def test_a_floor_under_dt_forbids_padding():
    assert not SlotModel.of(loaded(tiny_zamba2().eval())).pads
    assert not SlotModel.of(loaded(tiny_nemotron_h())).pads


def test_mamba_1_does_not_fit_and_says_why():
    torch.manual_seed(0)
    falcon = FalconMambaForCausalLM(
        FalconMambaConfig(
            vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8, initializer_range=0.3
        )
    )
    for model in (tiny_hybrids()["mamba"], falcon):
        fitting, reason = fit_for_slots(loaded(model.eval()))
        assert fitting is None
        assert "off by" in reason


def test_a_model_with_a_position_scheme_of_its_own_does_not_fit_and_says_why():
    fitting, reason = fit_for_slots(loaded(decoder("Bloom", n_head=4, n_layer=2)))
    assert fitting is None
    assert reason.startswith(
        (
            "its code asks its cache for get_mask_sizes, which is not understood here",
            "its code does not use transformers' attention interface (a trial ended in an error, ",  # 5.17
        )
    )


def test_attention_that_slots_cannot_replace_is_named_where_it_stops():
    fitting, reason = fit_for_slots(loaded(decoder("Falcon", num_kv_heads=2, new_decoder_architecture=True)))
    assert fitting is None
    assert reason.startswith(
        "its code does not use transformers' attention interface (a trial ended in an error, "
    )


def test_a_cache_that_is_wrong_is_noticed(monkeypatch):
    ready = loaded(tiny_llama())
    assert largest_difference(SlotModel.of(ready)) < 1e-5
    original = Slots.decode
    monkeypatch.setattr(Slots, "decode", lambda slots, tokens: original(slots, [one + 1 for one in tokens]))
    assert fit_for_slots(ready)[0] is None


def test_half_precision_fits():
    for make in (tiny_llama, patched_nemotron_h, DECODERS["llama4, chunks and temperature"]):
        model, reason = fit_for_slots(loaded(make().bfloat16()))
        assert reason == ""
        assert 0 < largest_difference(model) < 0.05
