"""Every form is tried before it is used, and the identity says which ones were."""

import json

import pytest
import torch

from evalsuite.checkpoints import resolve
from evalsuite.engine.native import fit_trees as packable
from evalsuite.engine.native import generate_batch as generate
from evalsuite.engine.native import score_batch as score
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.slots import forward as slots_forward
from evalsuite.engine.native.trials import forms
from evalsuite.engine.native.trials.forms import Forms, remember, remembered
from evalsuite.engine.protocol import answers_in
from evalsuite.errors import ModelError
from evalsuite.types import GenerateRequest, ScoreRequest
from tests.engine.native.decoders import decoder
from tests.engine.tiny import EOS, VOCABULARY, save

MINIMAX_M3 = {
    "head_dim": 8,
    "layer_types": ["minimax_m3_sparse"] * 2,
    "index_n_heads": 2,
    "dense_intermediate_size": 64,
    "shared_intermediate_size": 32,
    "rotary_dim": 8,
    "index_block_size": 4,
    "index_topk_blocks": 2,
    "index_local_blocks": 1,
    "num_local_experts": 2,
    "num_experts_per_tok": 1,
    "mlp_layer_types": ["dense", "dense"],
}
LONGROPE = {
    "original_max_position_embeddings": 32,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [3.0] * 4,
        "factor": 8.0,
        "original_max_position_embeddings": 32,
    },
}
DYNAMIC = {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}}
PACKS, SLOTS = Forms("packed", "slots"), "slots"


def sequence(length: int, start: int) -> tuple[int, ...]:
    return tuple(2 + (start + 37 * at) % (VOCABULARY - 2) for at in range(length))


SCORES = [
    ScoreRequest(sequence(length, 3 * length), sequence(4, length)) for length in (3, 17, 28, 31, 45, 60)
]
TEXTS = [GenerateRequest(sequence(length, 5 * length), (), 9) for length in (2, 13, 27, 40)]


def answers_of(blocks):
    return dict(answers_in(blocks))


@torch.inference_mode()
def alone(model, request: ScoreRequest) -> list[float]:
    ids = torch.tensor([(*request.context, *request.continuation)[:-1]])  # what dynamic scaling is to see
    logs = model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
    start = len(request.context) - 1
    return [logs[start + at, token].item() for at, token in enumerate(request.continuation)]


@torch.inference_mode()
def greedy(make, request: GenerateRequest) -> list[int]:
    """Each token by a pass of its own, through a model that has seen nothing else."""
    ids = list(request.context)
    for _ in range(request.max_tokens):
        ids.append(int(make()(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
        if ids[-1] == EOS:
            return ids[len(request.context) : -1]
    return ids[len(request.context) :]


MODELS = {
    "blocks of keys": (
        lambda: decoder("MiniMaxM3VL", **MINIMAX_M3),
        "batches, batches of one length",
        "text-lengths",
    ),
    "positions that count from the padding token": (
        lambda: decoder("Roberta", is_decoder=True, num_key_value_heads=4),
        "batches, slots",
        "",
    ),
    "longrope": (lambda: decoder("Phi3", **LONGROPE), "batches, batches", "text-batches by-length"),
    "dynamic scaling": (
        lambda: decoder("Llama", **{**DYNAMIC, "max_position_embeddings": 32}),
        "batches, batches",
        "text-batches by-length",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_scores_and_texts_are_those_of_plain_passes_in_whatever_form(name, tmp_path, monkeypatch):
    make, used, words = MODELS[name]
    for name_of in ("model.window_in", "loading.load.context_window"):  # as if none were stated
        monkeypatch.setattr(f"evalsuite.engine.native.{name_of}", lambda stated: None)
    engine = TransformersEngine(resolve(str(save(make(), tmp_path))), device="cpu")
    engine.limits.max_length = 128
    scores, texts = answers_of(engine.score(SCORES)), answers_of(engine.generate(TEXTS))
    for request in SCORES:
        # A new model each time: dynamic scaling remembers what it has seen.
        assert scores[request].log_probs == pytest.approx(alone(make(), request), abs=2e-4)
    for request in TEXTS if "padding" not in name else []:
        assert texts[request].text == engine.tokenizer.decode(greedy(make, request))
    assert f"{engine.tried.forms.scores}, {engine.tried.forms.texts}" == used
    assert engine.identity.numerics == f"transformers float32 cpu {words}".strip()
    assert engine.notes[0].startswith("scored in padded batches: ")


def test_dynamic_scaling_that_begins_behind_the_window_is_packed(tmp_path):
    make = MODELS["dynamic scaling"][0]
    engine = TransformersEngine(resolve(str(save(make(), tmp_path))), device="cpu")
    requests = [one for one in SCORES if len(one.context) + len(one.continuation) <= 32]
    scores, texts = answers_of(engine.score(requests)), answers_of(engine.generate(TEXTS[:3]))
    for request in requests:
        assert scores[request].log_probs == pytest.approx(alone(make(), request), abs=2e-4)
    for request in TEXTS[:3]:
        text = engine.tokenizer.decode(greedy(make, request))
        assert texts[request].text == text[: len(texts[request].text)]
        assert texts[request].finish in ("eos", "length", "window")
    assert engine.tried.forms == PACKS


def test_a_model_that_was_tried_is_known_without_loading_it(llama_files, monkeypatch):
    first = TransformersEngine(llama_files, device="cpu")
    assert not first.tried.is_known
    identity = first.identity
    assert identity.numerics == "transformers float32 cpu packed"
    monkeypatch.setattr("evalsuite.engine.native.loading.load.load_model", None)
    second = TransformersEngine(llama_files, device="cpu")
    assert second.identity == identity
    assert second.tried.is_known


@pytest.fixture
def unfit(monkeypatch):
    """Packs fail their trial."""
    monkeypatch.setattr(packable, "why_it_differs", lambda loaded: "a trial differed")


def test_where_packs_fail_the_identity_says_so_before_the_first_answer_and_in_the_next_run(
    llama_files, unfit
):
    engine = TransformersEngine(llama_files, device="cpu")
    assert engine.expected_identity.numerics == "transformers float32 cpu packed"
    assert engine.identity.numerics == "transformers float32 cpu"
    again = TransformersEngine(llama_files, device="cpu")
    assert again.expected_identity.numerics == "transformers float32 cpu"
    assert again.scorer.why_batches == "a trial differed"


def test_where_padded_batches_fail_too_each_row_is_computed_alone(llama_files, unfit, monkeypatch):
    whole = answers_of(TransformersEngine(llama_files, device="cpu", packed=False).score(SCORES))
    original, sizes = score.batch_logits, []

    def spoiled(loaded, sequences, rows, columns):
        sizes.append(len(sequences))
        return original(loaded, sequences, rows, columns) + (len(sequences) > 1) * torch.arange(VOCABULARY)

    monkeypatch.setattr(score, "batch_logits", spoiled)
    monkeypatch.setattr("evalsuite.engine.native.trials.trials.batch_logits", spoiled)
    engine = TransformersEngine(llama_files, device="cpu")
    assert engine.identity.numerics == "transformers float32 cpu rows"
    sizes.clear()
    scores = answers_of(engine.score(SCORES))
    assert sizes == [1] * len(SCORES)
    for request in SCORES:
        assert scores[request].log_probs == pytest.approx(whole[request].log_probs, abs=1e-4)
    (note,) = engine.notes
    assert note.startswith(
        "scored one row at a time: a trial differed; of what is left, a trial differed from single"
    )


def test_a_model_whose_single_rows_differ_is_refused_by_name(llama_files, unfit, monkeypatch):
    original = score.batch_logits
    monkeypatch.setattr(
        "evalsuite.engine.native.trials.trials.batch_logits", lambda *args: original(*args).flip(-1)
    )
    engine = TransformersEngine(llama_files, device="cpu")
    with pytest.raises(ModelError, match="cannot be scored: one row by itself"):
        list(engine.score(SCORES))


@pytest.mark.parametrize(
    ("spoilt", "words", "note"),
    [
        (lambda rows, cached: False, "text-batches", "texts are generated in batches: "),
        (lambda rows, cached: rows == "padded", "text-lengths", "batches of prompts of one length: "),
        (lambda rows, cached: rows != "single", "text-rows", "texts are generated one at a time: "),
        (lambda rows, cached: cached, "text-passes", "by a pass over all tokens for each new one: "),
    ],
)
def test_texts_fall_back_step_by_step(llama_files, monkeypatch, spoilt, words, note):
    expected = answers_of(TransformersEngine(llama_files, device="cpu").generate(TEXTS))
    monkeypatch.setattr(
        "evalsuite.engine.native.trials.fit.fit_for_slots", lambda loaded: (None, "slots differ")
    )
    original = generate.prefill

    def spoiled(loaded, prompts):
        state = original(loaded, prompts)
        rows = "single" if len(prompts) == 1 else "level" if len(set(map(len, prompts))) == 1 else "padded"
        if spoilt(rows, loaded.text_cache):
            state.logits = state.logits.flip(-1)
        return state

    monkeypatch.setattr(generate, "prefill", spoiled)
    monkeypatch.setattr("evalsuite.engine.native.trials.trials.prefill", spoiled)
    engine = TransformersEngine(llama_files, device="cpu", packed=True)
    forms.forms_path().unlink()  # the first engine had slots
    assert engine.identity.numerics == f"transformers float32 cpu packed {words}"
    assert answers_of(engine.generate(TEXTS)) == expected
    (told,) = engine.notes
    assert note in told


def test_trials_that_disagree_with_the_keys_stop_the_run_and_are_remembered(llama_files, monkeypatch):
    assert "packed" in TransformersEngine(llama_files, device="cpu").identity.numerics
    monkeypatch.setattr(packable, "why_it_differs", lambda loaded: "a trial differed")
    engine = TransformersEngine(llama_files, device="cpu")
    assert "packed" in engine.identity.numerics
    with pytest.raises(ModelError, match="wrong name; run the same command again"):
        list(engine.score(SCORES))
    assert "packed" not in TransformersEngine(llama_files, device="cpu").identity.numerics


def test_a_cache_that_cannot_be_written_or_read_costs_time_alone(llama_files, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(forms, "forms_path", lambda: tmp_path / "file" / "forms.json")
    assert (
        TransformersEngine(llama_files, device="cpu").identity.numerics == "transformers float32 cpu packed"
    )
    assert not TransformersEngine(llama_files, device="cpu").tried.is_known


@pytest.mark.parametrize("content", ["", "[]", '{"key": 1}', '{"key": {"scores": "packed"}}'])
def test_a_damaged_cache_is_as_none(content, tmp_path, monkeypatch):
    path = tmp_path / "forms.json"
    path.write_text(content)
    monkeypatch.setattr(forms, "forms_path", lambda: path)
    assert remembered("key") is None
    remember("key", PACKS)
    assert remembered("key") == PACKS
    unknown = {**json.loads(path.read_text())["key"], "texts": "does not have the form"}
    path.write_text(json.dumps({"key": unknown}))
    assert remembered("key") is None


def test_what_is_beyond_a_long_limit_is_tried_on_a_tiny_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(slots_forward, "layers_with_temperature", lambda model: ())
    llama4 = decoder(
        "Llama4",
        intermediate_size_mlp=64,
        moe_layers=[],
        no_rope_layers=[1, 0],
        head_dim=8,
        num_local_experts=2,
        layer_types=["full_attention"] * 2,
        attention_chunk_size=8192,
        floor_scale=8192,
    )
    engine = TransformersEngine(resolve(str(save(llama4, tmp_path))), device="cpu")
    assert engine.tried.forms.texts == "batches of one length"
    assert "tried on a tiny copy with shorter ones" in engine.tried.forms.text_note
