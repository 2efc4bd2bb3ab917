"""The vLLM adapter's logic, against objects of vLLM's shapes that really compute. It was not run on a GPU."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from evalsuite.checkpoints import resolve
from evalsuite.checkpoints.digests import loaded_files
from evalsuite.engine.engines import make_engine
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.protocol import Begun, Planned, answers_in
from evalsuite.engine.settings import EngineSpec
from evalsuite.engine.vllm import engine as vllm_engine
from evalsuite.engine.vllm.engine import VllmEngine
from evalsuite.engine.vllm.score import score_prompts
from evalsuite.errors import UserError
from evalsuite.requests.encode import encode_contexts, encode_pairs
from evalsuite.types import Failure, GenerateRequest, ScoreRequest
from tests.engine.tiny import byte_tokenizer, greedy_alone, tiny_llama
from tests.engine.vllm.shapes import EngineDeadError, installed
from tests.nemo.archives import gpt, write
from tests.nemo.texts import train

WINDOW = 128
PAIRS = [(f"Question {n}: which letter?\nAnswer:", letter) for n in range(3) for letter in "ABCD"] + [
    ("The cat sat", " on the mat"),
    ("The cat sat", " on the dog"),
    ("The cat sat o", "n"),
    ("x" * 100, "y" * 25),
]


@pytest.fixture
def llms(monkeypatch):
    return installed(monkeypatch, tiny_llama(), byte_tokenizer(), WINDOW)


@pytest.fixture
def engine(llms, llama_files) -> VllmEngine:
    return VllmEngine(llama_files, dtype="float32")


@pytest.fixture
def native(llama_files) -> TransformersEngine:
    return TransformersEngine(llama_files, dtype="float32", device="cpu")


def requests_of(native, pairs=PAIRS) -> list[ScoreRequest]:
    return [one.request for one in encode_pairs(native.tokenizer, pairs, "never")]


def answered(blocks) -> dict:
    return dict(answers_in(blocks))


def test_scores_are_our_own_engines(engine, native):
    requests = requests_of(native)
    ours, theirs = answered(engine.score(requests)), answered(native.score(requests))
    assert ours.keys() == theirs.keys()
    for request in requests:
        assert ours[request].log_probs == pytest.approx(theirs[request].log_probs, abs=1e-4)
        assert ours[request].is_greedy == theirs[request].is_greedy


def test_the_likeliest_continuation_is_greedy(engine, native):
    [context] = encode_contexts(native.tokenizer, ["The cat"], "never")
    tokens = tuple(greedy_alone(tiny_llama(), context, 3))
    other = (tokens[0] ^ 1, *tokens[1:])
    requests = [
        ScoreRequest(context, tokens[:1]),
        ScoreRequest(context, tokens),
        ScoreRequest(context, other),
    ]
    answers = answered(engine.score(requests))
    assert [answers[request].is_greedy for request in requests] == [True, True, False]


def test_a_questions_letters_are_one_prompt_with_prefix_caching(engine, native, llms):
    requests = requests_of(native)[:12]
    assert len(answered(engine.score(requests))) == 12
    assert llms[0].calls == [3]
    assert all(params.prompt_logprobs is None for params in llms[0].params)
    assert llms[0].arguments["enable_prefix_caching"] is True


def test_more_last_tokens_than_vllm_takes_are_asked_in_parts():
    requests = [ScoreRequest((5, 6), (token,)) for token in range(300)]
    prompts = score_prompts(requests)
    assert [len(prompt.last_ids) for prompt in prompts] == [128, 128, 44]
    assert {request for prompt in prompts for request in prompt.requests} == set(requests)


def test_texts_are_our_own_engines(engine, native):
    contexts = encode_contexts(native.tokenizer, ["The cat", "x" * 120, "Once", "a" * 50], "never")
    [first] = answered(native.generate([GenerateRequest(contexts[0], (), 20)])).values()
    requests = [GenerateRequest(context, (first.text[4:6],), 20) for context in contexts]
    ours, theirs = answered(engine.generate(requests)), answered(native.generate(requests))
    for request in requests:
        assert (ours[request].text, ours[request].finish) == (theirs[request].text, theirs[request].finish)


def test_samples_have_seeds_of_their_own(engine, native, llms):
    [context] = encode_contexts(native.tokenizer, ["The cat"], "never")
    requests = [GenerateRequest(context, (), 12, 1.0, 1.0, 7, sample) for sample in range(4)]
    first = answered(engine.generate(requests))
    assert len({answer.text for answer in first.values()}) == 4
    assert answered(engine.generate(requests)) == first
    assert len({params.seed for params in llms[0].params}) == 4


def test_the_answers_of_a_call_come_together(engine, native, monkeypatch):
    monkeypatch.setattr(vllm_engine, "PROMPTS_PER_CALL", 2)
    requests = requests_of(native)
    planned, begun, *calls = engine.score(requests)
    assert planned == Planned(sum(call.tokens for call in calls))
    assert begun == Begun()
    assert len(calls) == 4


def test_what_is_answered_starts_no_vllm(engine, native, llms):
    requests = requests_of(native)
    list(engine.score(requests, answered=requests))
    assert engine.identity.numerics == "vllm 0.33.0 float32"
    assert llms == []


def test_a_prompt_that_vllm_refuses_costs_itself_alone(engine, native, llms):
    requests = requests_of(native)
    poison = list(requests[5].context)
    engine.load()
    llms[0].refuses = lambda ids: ValueError("no\nTraceback") if ids == poison else None
    answers = answered(engine.score(requests))
    failed = [request for request, answer in answers.items() if isinstance(answer, Failure)]
    assert {request.context for request in failed} == {requests[5].context}
    assert answers[failed[0]].reason == "vLLM failed: no"
    assert len(answers) == len(requests)


def test_an_engine_that_died_is_not_asked_again(engine, native, llms):
    engine.load()
    llms[0].refuses = lambda ids: EngineDeadError("EngineCore encountered an issue.")
    assert all(isinstance(answer, Failure) for answer in answered(engine.score(requests_of(native))).values())
    assert len(llms[0].calls) == 1


def test_missing_log_probabilities_are_failures(engine, native, llms, monkeypatch):
    engine.load()
    [llm] = llms
    whole = llm._one

    def without(ids, params):
        output = whole(ids, params)
        output.prompt_logprobs = None
        return output

    monkeypatch.setattr(llm, "_one", without)
    answers = answered(engine.score(requests_of(native, PAIRS[12:14])))
    assert {answer.reason for answer in answers.values()} == {"vLLM gave no log-probabilities of the prompt"}


def test_settings_go_to_vllm_and_into_the_numerics(llms, llama_files):
    settings = (
        "tensor_parallel_size=2",
        "max_model_len=64",
        'hf_overrides={"a": 1}',
        "download_dir=/x",
        "enforce_eager=true",
    )
    engine = make_engine(EngineSpec("vllm", llama_files, arguments=settings))
    assert engine.max_length == 63
    engine.load()
    given = llms[0].arguments
    assert (given["tensor_parallel_size"], given["hf_overrides"], given["enforce_eager"]) == (
        2,
        {"a": 1},
        True,
    )
    assert given["tokenizer"] == str(llama_files.folder)
    shown = {path.name: path.resolve() for path in Path(given["model"]).iterdir()}
    assert shown == {name: path.resolve() for name, path in loaded_files(llama_files).items()}
    assert given["dtype"] == "bfloat16"
    assert given["max_num_batched_tokens"] == 2048
    assert "tensor_parallel_size=2" in engine.identity.numerics
    assert "download_dir" not in engine.identity.numerics


def test_of_a_nemo_archive_the_conversion_is_run(llms, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    engine = VllmEngine(resolve(str(write(tmp_path, gpt(layers=1), train()))))
    assert engine.max_length == 127
    assert not (tmp_path / "cache").exists()
    engine.load()
    given = llms[0].arguments
    assert (Path(given["model"]) / "config.json").is_file()
    assert (Path(given["tokenizer"]) / "tokenizer_config.json").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "cpu"}, "does not support --device cpu"),
        ({"logits_dtype": "model"}, "leave out --logits-dtype"),
        ({"dtype": "int8"}, "Unknown data type 'int8'"),
        ({"arguments": ("tensor_paralel_size=2",)}, "Did you mean tensor_parallel_size?"),
    ],
)
def test_what_it_does_not_do_is_one_sentence(llama_files, options, said):
    with pytest.raises(UserError) as caught:
        make_engine(EngineSpec("vllm", llama_files, **options))
    assert said in str(caught.value)


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_the_extra_one_sentence_says_so(llama_files):
    with pytest.raises(UserError, match=r"needs vLLM: pip install 'evalsuite\[vllm\]'"):
        _ = VllmEngine(llama_files).identity


def test_a_model_that_vllm_cannot_run_is_one_sentence(llms, llama_files, monkeypatch):
    import vllm

    def refuse(**arguments):
        raise RuntimeError("Engine core initialization failed.\nSee root cause above.")

    monkeypatch.setattr(vllm, "LLM", refuse)
    with pytest.raises(UserError, match=r"vLLM cannot run model .*: Engine core initialization failed\.$"):
        list(VllmEngine(llama_files).score([ScoreRequest((5,), (6,))]))
