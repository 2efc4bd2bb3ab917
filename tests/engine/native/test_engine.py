import subprocess
import sys

import pytest
import torch

from evalsuite.checkpoints import ModelFiles, resolve, weights_digest
from evalsuite.engine.engines import make_engine
from evalsuite.engine.native import score_batch as score
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.loading import load as loading
from evalsuite.engine.native.trials.forms import PACKED, SLOTS, Forms
from evalsuite.engine.protocol import Answered, Begun, Planned, answers_in
from evalsuite.engine.settings import EngineSpec
from evalsuite.errors import ModelError, UnknownName
from evalsuite.types import Failure, GenerateRequest, ScoreRequest
from tests.engine.tiny import save, tiny_gpt2

TORCH = "torch-" + ".".join(torch.__version__.split(".")[:2])
REQUESTS = [
    ScoreRequest(tuple(range(2, 2 + length)), (3, choice)) for length in range(1, 20) for choice in (4, 5)
]
PROMPTS = [GenerateRequest(tuple(range(2, 2 + length)), (), 6) for length in (3, 8, 5)]


@pytest.fixture
def engine(llama_files):
    return TransformersEngine(llama_files, device="cpu", token_budget=40, packed=False)


def answers_of(blocks):
    return dict(answers_in(blocks))


def test_importing_the_engine_imports_neither_torch_nor_transformers():
    code = (
        "import sys, evalsuite.engine; sys.exit(bool({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_building_an_engine_reads_nothing(tmp_path):
    TransformersEngine(ModelFiles("nowhere", tmp_path / "nowhere"), device="cuda:7", dtype="what")


def test_the_identity_is_known_without_the_weights(engine, llama_files, monkeypatch):
    monkeypatch.setattr("evalsuite.engine.native.loading.load.load_model", None)
    assert engine.expected_identity.numerics == "transformers float32 cpu"
    assert engine.expected_identity.weights == weights_digest(llama_files)
    assert engine.max_length == 128


def test_the_numerics_class_leaves_out_which_gpu_it_was(llama_files, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    numerics = TransformersEngine(llama_files, device="cuda:3").expected_identity.numerics
    assert numerics == (
        "transformers bfloat16 cuda packed attention=levels scan=torch log-probs=torch pointwise=model "
        f"prompts=model steps=model slot-attention=torch graphs=cuda {TORCH}"
    )


def test_packages_that_a_models_own_layers_call_are_part_of_the_numerics_class(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"model_type": "nemotron_h"}')
    files = ModelFiles("mine", tmp_path)
    monkeypatch.setattr("evalsuite.engine.native.processes.resolve_device", lambda device: device)
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    monkeypatch.setitem(sys.modules, "causal_conv1d", None)

    def words(device: str) -> list[str]:
        return TransformersEngine(files, device=device).tried.numerics(Forms(PACKED, SLOTS)).split()

    assert "mixers=torch" in words("cuda")
    monkeypatch.setitem(sys.modules, "mamba_ssm", sys)
    assert "mixers=mamba_ssm" in words("cuda")
    monkeypatch.setitem(sys.modules, "causal_conv1d", sys)
    assert "mixers=causal_conv1d+mamba_ssm" in words("cuda:1")
    assert words("cpu") == ["transformers", "float32", "cpu", "packed"]


def test_first_is_told_how_much_is_planned_then_that_the_work_begins(engine):
    first, begun, *others = engine.score(REQUESTS)
    assert (first, begun) == (Planned(sum(range(2, 21))), Begun())
    assert first.tokens == sum(block.tokens for block in others)


def test_every_request_is_answered_longest_first(engine):
    events = list(engine.score(REQUESTS))
    assert set(answers_of(events)) == set(REQUESTS)
    lengths = [len(request.context) for request, _ in answers_in(events)]
    assert lengths == sorted(lengths, reverse=True)
    assert sum(isinstance(event, Answered) for event in events) > 3


def test_a_resumed_run_gives_the_same_digits_as_an_uninterrupted_one(engine):
    whole = answers_of(engine.score(REQUESTS))
    stored = {request: whole[request] for request in REQUESTS[:7]}
    rest = answers_of(engine.score(REQUESTS, answered=stored.keys()))
    assert {**rest, **stored} == {**whole, **stored} == whole
    assert all(rest[request] == whole[request] for request in rest)


def test_what_is_answered_already_is_neither_planned_nor_computed(engine):
    first, _, *blocks = engine.score(REQUESTS, answered=set(REQUESTS[20:]))
    assert first.tokens == sum(block.tokens for block in blocks) < sum(range(2, 21))


def test_a_finished_run_loads_no_model(engine, monkeypatch):
    monkeypatch.setattr("evalsuite.engine.native.loading.load.load_model", None)
    assert list(engine.score(REQUESTS, answered=set(REQUESTS))) == [Planned(0)]
    assert list(engine.generate(PROMPTS, answered=set(PROMPTS))) == [Planned(0)]


def test_weights_loaded_in_a_thread_are_loaded_once(engine, llama_files, monkeypatch):
    expected = answers_of(
        TransformersEngine(llama_files, device="cpu", token_budget=40, packed=False).score(REQUESTS)
    )
    loads, load = [], loading.load_model
    monkeypatch.setattr(
        loading, "load_model", lambda *args, **options: loads.append(1) or load(*args, **options)
    )
    engine.begin_loading()
    assert answers_of(engine.score(REQUESTS)) == expected
    assert len(loads) == 1


def test_what_is_wrong_with_the_weights_is_said_when_they_are_needed(engine, monkeypatch):
    def broken(*_, **__):
        raise ModelError("a weight is missing")

    monkeypatch.setattr(loading, "load_model", broken)
    engine.begin_loading()
    assert engine.expected_identity.numerics == "transformers float32 cpu"
    with pytest.raises(ModelError, match="a weight is missing"):
        list(engine.score(REQUESTS))


def test_texts_are_generated_within_the_plan(engine):
    first, begun, *blocks = engine.generate(PROMPTS)
    assert begun == Begun()
    assert first.tokens == 3 + 8 + 5 + 3 * 6
    assert set(answers_of(blocks)) == set(PROMPTS)
    assert sum(block.tokens for block in blocks) <= first.tokens


def test_a_request_beyond_the_context_window_is_the_callers_mistake(engine):
    with pytest.raises(ValueError, match="128"):
        list(engine.score([ScoreRequest((2,) * 128, (3, 4))]))
    with pytest.raises(ValueError, match="128"):
        list(engine.generate([GenerateRequest((2,) * 128, (), 4)]))
    assert answers_of(engine.score([ScoreRequest((2,) * 128, (3,))]))


@pytest.mark.usefixtures("quick_collections")
def test_running_out_of_memory_fails_only_the_rows_that_do_not_fit(engine, monkeypatch):
    original = score.begin_batch

    def small(loaded, batch):
        if len(batch) > 1 or len(batch[0].ids) > 18:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(loaded, batch)

    whole = answers_of(engine.score(REQUESTS))
    monkeypatch.setattr(score, "begin_batch", small)
    answers = answers_of(engine.score(REQUESTS))
    assert set(answers) == set(REQUESTS)
    for request, answer in answers.items():
        if len(request.context) > 17:
            assert answer == Failure("out of memory: CUDA out of memory.")
        else:
            assert answer.log_probs == pytest.approx(whole[request].log_probs, abs=1e-5)


def test_notes_are_there_once_the_weights_are(tmp_path):
    engine = TransformersEngine(resolve(str(save(tiny_gpt2(), tmp_path))), device="cpu")
    assert engine.max_length == 64
    list(engine.score(REQUESTS[:1]))
    assert engine.notes == ()


def test_an_engine_is_made_by_name(llama_files):
    assert (
        make_engine(EngineSpec("native", llama_files, dtype="float32", device="cpu")).identity.numerics
        == "transformers float32 cpu packed"
    )
    with pytest.raises(UnknownName, match="Did you mean native"):
        make_engine(EngineSpec("nativ", llama_files))
