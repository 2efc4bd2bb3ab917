"""The engine on packs: what is streamed, resumed, split and said."""

import json

import pytest
import torch
from transformers import CONFIG_MAPPING

from evalsuite.checkpoints import ModelFiles, resolve
from evalsuite.engine.native import fit_trees as packable
from evalsuite.engine.native import memory_estimate as needs
from evalsuite.engine.native import score_packed as packed
from evalsuite.engine.native import sizes
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.fit_trees import unsupported_reason, why_it_differs
from evalsuite.engine.protocol import Begun, Planned, answers_in
from evalsuite.errors import ModelError
from evalsuite.types import Failure, ScoreRequest
from tests.engine.native.decoders import decoder
from tests.engine.native.hybrids import SCAN, hybrid
from tests.engine.tiny import loaded, save, tiny_gpt2, tiny_hybrids, tiny_llama

SHOTS = tuple(range(20, 30))
REQUESTS = [
    ScoreRequest((*SHOTS, *range(100, 100 + length)), (3, choice))
    for length in range(1, 20)
    for choice in (4, 5)
]


@pytest.fixture
def engine(llama_files) -> TransformersEngine:
    return TransformersEngine(llama_files, device="cpu", token_budget=40)


def answers_of(blocks):
    return dict(answers_in(blocks))


def furthest(one, other) -> float:
    assert one.keys() == other.keys()
    return max(
        abs(a - b)
        for request, score in one.items()
        for a, b in zip(score.log_probs, other[request].log_probs, strict=True)
    )


def test_packs_give_what_batches_give(engine, llama_files):
    in_batches = TransformersEngine(llama_files, device="cpu", packed=False)
    packs, batches = answers_of(engine.score(REQUESTS)), answers_of(in_batches.score(REQUESTS))
    assert furthest(packs, batches) < 1e-5
    assert {r: score.is_greedy for r, score in packs.items()} == {
        r: score.is_greedy for r, score in batches.items()
    }
    assert engine.notes == in_batches.notes == ()


def test_the_numerics_class_names_the_form_because_last_digits_differ(engine, llama_files):
    assert engine.identity.numerics == "transformers float32 cpu packed"
    in_batches = TransformersEngine(llama_files, device="cpu", packed=False)
    assert in_batches.identity.numerics == "transformers float32 cpu"


def test_blocks_stream_out_one_for_each_pack_and_agree_with_the_plan(engine):
    first, begun, *others = engine.score(REQUESTS)
    # 19 questions, each a prefix of the next but for the first token of its answer: 10 shots, 19 + 19 tokens.
    assert first.tokens >= 10 + 19 + 19
    assert begun == Begun()
    assert first == Planned(sum(block.tokens for block in others))
    assert len(others) > 1
    sizes = [block.tokens for block in others]
    assert sizes == sorted(sizes, reverse=True)


def test_a_run_resumed_after_some_packs_gives_the_same_digits(engine):
    _, _, *blocks = engine.score(REQUESTS)
    whole, stored = answers_of(blocks), answers_of(blocks[:1])
    rest = answers_of(engine.score(REQUESTS, answered=stored.keys()))
    assert not rest.keys() & stored.keys()
    assert {**stored, **rest} == whole


def test_what_is_answered_already_is_left_out_of_a_pack_that_is_not(engine):
    whole = answers_of(engine.score(REQUESTS))
    answered = set(REQUESTS[1:-1])
    first, _, *others = engine.score(REQUESTS, answered=answered)
    assert first.tokens == sum(block.tokens for block in others) == (10 + 1 + 1) + (10 + 19 + 1)
    rest = answers_of(others)
    assert {REQUESTS[0], REQUESTS[-1]} <= set(rest)
    assert furthest(rest, {request: whole[request] for request in rest}) < 1e-5


def test_a_finished_run_loads_no_model(engine, monkeypatch):
    monkeypatch.setattr("evalsuite.engine.native.loading.load.load_model", None)
    assert list(engine.score(REQUESTS, answered=set(REQUESTS))) == [Planned(0)]


def test_a_request_beyond_the_context_window_is_the_callers_mistake(engine):
    with pytest.raises(ValueError, match="128"):
        list(engine.score([ScoreRequest((2,) * 128, (3, 4))]))
    assert answers_of(engine.score([ScoreRequest((2,) * 128, (3,))]))


@pytest.mark.usefixtures("quick_collections")
def test_a_pack_that_does_not_fit_is_halved_and_one_input_that_never_does_fails_alone(engine, monkeypatch):
    whole = answers_of(engine.score(REQUESTS))
    original = packed.run_body

    def small(loaded, tree):
        if len(tree.pack) > 28:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(loaded, tree)

    monkeypatch.setattr(packed, "run_body", small)
    answers = answers_of(engine.score(REQUESTS))
    assert answers.keys() == whole.keys()
    fitting = {request: score for request, score in answers.items() if len(request.context) + 1 <= 28}
    assert furthest(fitting, {request: whole[request] for request in fitting}) < 1e-5
    for request in answers.keys() - fitting.keys():
        assert answers[request] == Failure("out of memory: CUDA out of memory.")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "bloom"}, "attention interface"),
        ({"model_type": "mamba"}, "attention interface"),
        ({"model_type": "no_such_family"}, "attention interface"),
        ({"model_type": "llama", "auto_map": {}}, "code of its own"),
    ],
)
def test_a_configuration_that_does_not_fit_is_told_with_the_reason(config, words):
    assert words in unsupported_reason(config, "cpu", remote_code=True)


@pytest.mark.parametrize(
    "family",
    [
        "llama",
        "gpt2",
        "gpt_neox",
        "gemma3_text",
        "nemotron",
        "mixtral",
        "olmo2",
        "granitemoeshared",
        *({"internlm3"} & set(CONFIG_MAPPING)),  # not in transformers 5.17
    ],
)
def test_families_that_fit_are_packed_on_a_cpu_and_a_gpu(family):
    assert unsupported_reason({"model_type": family}, "cpu", remote_code=False) == ""
    assert unsupported_reason({"model_type": family}, "cuda:1", remote_code=False) == ""
    assert unsupported_reason({"model_type": family}, "mps", remote_code=False) == "packs are for cpu, cuda"


def test_a_containers_text_model_is_looked_at_where_the_containers_own_code_asks_nothing():
    container = {"model_type": "fuyu", "text_config": {"model_type": "persimmon"}}
    assert unsupported_reason(container, "cpu", remote_code=False) == ""
    container = {"model_type": "fuyu", "text_config": {"model_type": "jamba"}}
    assert "left to right" in unsupported_reason(container, "cpu", remote_code=False)


def test_a_family_that_does_not_fit_is_scored_in_batches_and_the_log_says_why(tmp_path):
    engine = TransformersEngine(resolve(str(save(tiny_hybrids()["mamba"], tmp_path))), device="cpu")
    assert engine.identity.numerics == "transformers float32 cpu text-batches"
    assert set(answers_of(engine.score(REQUESTS))) == set(REQUESTS)
    (note,) = engine.notes
    assert note.startswith("scored in padded batches: its code does not use")


@pytest.mark.parametrize("make", [tiny_llama, tiny_gpt2, lambda: decoder("Gemma2", head_dim=8)])
def test_the_trial_passes_where_packs_are_right(make):
    assert why_it_differs(loaded(make())) == ""
    assert why_it_differs(loaded(make().to(torch.bfloat16))) == ""


def test_the_trial_finds_layers_that_read_the_row_from_left_to_right():
    scanning = decoder(
        "Jamba", attn_layer_period=2, attn_layer_offset=1, use_mamba_kernels=False, mamba_dt_rank=4
    )
    assert "differed" in why_it_differs(loaded(scanning))
    assert "differed" in why_it_differs(loaded(tiny_hybrids()["mamba"]))


def test_layers_that_mix_tokens_by_themselves_are_noticed():
    assert "did not ask" in why_it_differs(loaded(decoder("Mpt", d_model=32, n_layers=2, n_heads=4)))


def test_a_failed_trial_means_batches_and_a_note(engine, monkeypatch):
    monkeypatch.setattr(packable, "why_it_differs", lambda loaded: "a trial differed")
    monkeypatch.setattr(packed, "begin_run", None)
    assert set(answers_of(engine.score(REQUESTS))) == set(REQUESTS)
    assert engine.notes == ("scored in padded batches: a trial differed",)


def test_the_budget_is_halved_until_it_fits_the_memory(llama_files, monkeypatch):
    def pack_tokens(free):
        monkeypatch.setattr("evalsuite.engine.native.memory.free_bytes", lambda device: free)
        return TransformersEngine(llama_files, device="cpu").limits.pack_tokens

    room = needs.needs_of(llama_files, "float32")
    assert pack_tokens(2**40) == sizes.MOST_TOKENS
    assert pack_tokens(room.weights + 2 * room.activations(3000)) == 2048
    assert pack_tokens(0) == sizes.FEWEST_TOKENS


def test_weights_are_counted_from_the_files(llama_files):
    model = tiny_llama()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert needs.needs_of(llama_files, "float32").weights == 4 * parameters
    assert needs.needs_of(llama_files, "bfloat16").weights == 2 * parameters


def test_logits_can_be_rounded_to_the_models_data_type(llama_files):
    def scores(logits_dtype):
        engine = TransformersEngine(llama_files, device="cpu", dtype="bfloat16", logits_dtype=logits_dtype)
        return answers_of(engine.score(REQUESTS)), engine.identity.numerics

    (exact, plain), (rounded, named) = scores("float32"), scores("model")
    assert (plain, named) == (
        "transformers bfloat16 cpu float32-sums packed",
        "transformers bfloat16 cpu float32-sums packed rounded-scores",
    )
    values = torch.tensor([value for score in rounded.values() for value in score.log_probs])
    assert torch.equal(values.bfloat16().float(), values)
    assert 0 < furthest(exact, rounded) < 0.1


def test_an_unknown_data_type_of_logits_is_refused(tmp_path):
    with pytest.raises(ModelError, match="float32 or model"):
        TransformersEngine(ModelFiles("mine", tmp_path), logits_dtype="half")


def test_a_gguf_or_safetensors_configuration_has_the_sizes_that_the_estimate_needs(llama_files):
    config = json.loads((llama_files.folder / "config.json").read_text())
    needed = needs.needs_of(llama_files, "float32")
    width, inner = config["hidden_size"], config["intermediate_size"]
    assert needed.a_token == 4 * (2 * width + max(3 * inner, 9 * width))


def test_a_hybrid_needs_memory_for_the_channels_of_its_recurrent_layers(tmp_path):
    files = resolve(str(save(hybrid("Bamba", **SCAN, num_hidden_layers=2, attn_layer_indices=[1]), tmp_path)))
    config = json.loads((files.folder / "config.json").read_text())
    channels = config["mamba_n_heads"] * config["mamba_d_head"]
    held = needs.needs_of(files, "float32").a_token - 4 * 2 * config["hidden_size"]
    assert held > 5 * 4 * channels > 4 * 3 * config["intermediate_size"]
