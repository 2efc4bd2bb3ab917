"""`--deterministic`: what is promised holds, and sizes are fixed."""

from dataclasses import replace

import pytest
import torch

from evalsuite.engine.engines import make_engine
from evalsuite.engine.native import sizes
from evalsuite.engine.native.deterministic import fixed_size
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.score_packed import score_run
from evalsuite.engine.planning.plan import plan_packs
from evalsuite.engine.settings import EngineSpec
from evalsuite.errors import ModelError, UserError
from tests.engine.native.hybrids import nemotron_h
from tests.engine.native.test_packed_engine import REQUESTS, answers_of, furthest
from tests.engine.native.test_score_packed import questions
from tests.engine.tiny import loaded, tiny_llama


@pytest.fixture(autouse=True)
def torch_as_it_was(monkeypatch):
    """The mode is the process's."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = before


def engine_of(files, **options) -> TransformersEngine:
    return TransformersEngine(files, device="cpu", arguments={"deterministic": "yes"}, **options)


def test_order_parts_and_resuming_change_no_digit(llama_files):
    whole = answers_of(engine_of(llama_files, token_budget=40).score(REQUESTS))
    assert torch.are_deterministic_algorithms_enabled()
    assert answers_of(engine_of(llama_files, token_budget=40).score(REQUESTS[::-1])) == whole
    engine = engine_of(llama_files, token_budget=40)
    _, _, first, *others = engine.score(REQUESTS)
    assert others
    stored = dict(first.answers)
    assert {**stored, **answers_of(engine.score(REQUESTS, answered=stored.keys()))} == whole
    parts = engine.partition(REQUESTS)
    assert len(parts) > 1
    assert {one: score for part in parts for one, score in answers_of(engine.score(part)).items()} == whole


def test_a_process_that_used_a_gpu_before_is_refused(llama_files, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    used = {0: 0, 1: 0}
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", used.get)
    engine_of(llama_files).load()
    used[1] = 2**20
    engine_of(llama_files).load()  # the environment had the variable before
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    with pytest.raises(ModelError, match="start a new process, or set CUBLAS_WORKSPACE_CONFIG=:4096:8"):
        engine_of(llama_files).load()


def test_matrix_products_have_few_sizes_whatever_is_asked(llama_files, monkeypatch):
    engine = engine_of(llama_files)
    monkeypatch.setattr(sizes, "POSITIONS_PER_CHUNK", 16)
    model = engine.model.loaded.model
    seen = {"layers": set(), "head": set()}
    model.model.layers[0].mlp.down_proj.register_forward_pre_hook(
        lambda module, args: seen["layers"].add(args[0].shape[1])
    )
    model.lm_head.register_forward_pre_hook(lambda module, args: seen["head"].add(args[0].shape[1]))
    engine.load()
    seen["layers"].clear()
    seen["head"].clear()
    scores = {count: answers_of(engine.score(REQUESTS[:count])) for count in (1, 7, len(REQUESTS))}
    assert seen == {"layers": {256}, "head": {16}}
    plain = answers_of(TransformersEngine(llama_files, device="cpu").score(REQUESTS))
    assert furthest(scores[len(REQUESTS)], plain) < 1e-5


@pytest.mark.parametrize("make", [tiny_llama, nemotron_h])
def test_tokens_that_fill_a_pack_change_no_score(make):
    ready, asked = loaded(make()), questions(documents=3)
    plan = plan_packs(asked, 10_000)
    plain = dict(answer for run in plan.runs for answer in score_run(ready, plan, run))
    filling = replace(ready, fixed_sizes=True)
    filled = dict(answer for run in plan.runs for answer in score_run(filling, plan, run))
    assert furthest(filled, plain) < 2e-5


@pytest.mark.parametrize(("tokens", "size"), [(1, 256), (256, 256), (257, 512), (8192, 8192), (9000, 16384)])
def test_sizes_are_powers_of_two(tokens, size):
    assert fixed_size(tokens) == size


def test_the_numerics_class_says_so(llama_files):
    engine = make_engine(EngineSpec("native", llama_files, device="cpu", arguments=("deterministic=yes",)))
    assert engine.identity.numerics == "transformers float32 cpu packed deterministic"
    engine = make_engine(EngineSpec("native", llama_files, device="cpu", arguments=("deterministic=no",)))
    assert engine.identity.numerics == "transformers float32 cpu packed"
    with pytest.raises(UserError, match="must be yes or no, got 'very'"):
        make_engine(EngineSpec("native", llama_files, device="cpu", arguments=("deterministic=very",)))
