"""The engine that asks a completions server, against one that really computes: it must say what our own
engine says."""

import itertools
import sys
from dataclasses import replace

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from evalsuite.checkpoints import ModelFiles, resolve
from evalsuite.engine.engines import make_engine
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.openai import http as openai_http
from evalsuite.engine.openai.engine import OpenAIEngine
from evalsuite.engine.protocol import Engine, answers_in
from evalsuite.engine.settings import EngineSpec
from evalsuite.errors import UserError
from evalsuite.requests.encode import encode_contexts, encode_pairs
from evalsuite.types import Failure, Generated, GenerateRequest, Score, ScoreRequest
from tests.engine.openai.completions_server import CompletionsServer, Habits
from tests.engine.tiny import tiny_llama

TOLERANCE = 1e-4
TEXTS = [
    ("The cat sat", " on the mat"),
    ("The cat sat", " on a dog"),
    ("The cat ", "sat"),
    ("two abab", "ab"),
    ("a caf\u00e9, na\u00efve \u2014", " \u00e9clair \U0001f600!"),
    ("a caf\u00e9 \U0001f600", " with cream"),
    ("x", "y"),
]
SPANNING = [("we said a", "bc"), ("a gra", "b"), ("abab a", "babab")]
"""`ab` is one token, so that it spans the join."""


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte tokenizer that joins `ab`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: index for index, text in enumerate(["<s>", "</s>", *alphabet, "ab"])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "b")]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> ModelFiles:
    folder = tmp_path_factory.mktemp("served")
    tiny_llama().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return resolve(str(folder))


@pytest.fixture(scope="module")
def native(files) -> TransformersEngine:
    return TransformersEngine(files, dtype="float32", device="cpu")


@pytest.fixture
def server(files):
    with CompletionsServer(tiny_llama(), tokenizer()) as running:
        yield running


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(openai_http, "FIRST_WAIT", 0.01)


@pytest.fixture
def ask(server, files):
    """An engine for the server; what a test gives goes to its settings."""

    def make(tokenizer: bool = True, **settings: object) -> OpenAIEngine:
        given = {
            "base_url": server.url,
            "patience": 5,
            **({"tokenizer": files.folder} if tokenizer else {}),
            **settings,
        }
        return OpenAIEngine(
            ModelFiles.elsewhere("tiny"), arguments={name: str(value) for name, value in given.items()}
        )

    return make


def scores(engine: Engine, pairs, bos="never"):
    """By pair, the engine's answer and how it was encoded."""
    encoded = [encode_pairs(engine.tokenizer, [pair], bos)[0].request for pair in pairs]
    answers = answered(engine.score(list(dict.fromkeys(encoded))))
    return [answers[request] for request in encoded]


def answered(blocks) -> dict:
    return dict(answers_in(blocks))


def agree(ours: Score, theirs: Score) -> None:
    assert isinstance(ours, Score), ours
    assert ours.log_probs == pytest.approx(theirs.log_probs, abs=TOLERANCE)
    assert ours.is_greedy == theirs.is_greedy


def greedy(native: TransformersEngine, context: str, max_tokens=20, stop=(), **more) -> GenerateRequest:
    [ids] = encode_contexts(native.tokenizer, [context], "never")
    return GenerateRequest(ids, tuple(stop), max_tokens, **more)


def texts(engine: Engine, requests) -> list[Generated | Failure]:
    found = answered(engine.generate(list(requests)))
    return [found[request] for request in requests]


def test_token_ids_score_as_our_own_engine_does(ask, native, server):
    for ours, theirs in zip(scores(ask(), TEXTS + SPANNING), scores(native, TEXTS + SPANNING), strict=True):
        agree(ours, theirs)
    assert all(isinstance(body["prompt"], list) for body in server.asked[-len(TEXTS) :])


@pytest.mark.parametrize("bos", ["never", "tokenizer", "always"])
def test_bos_is_where_the_prompt_wants_it(ask, native, bos):
    for ours, theirs in zip(scores(ask(), TEXTS, bos), scores(native, TEXTS, bos), strict=True):
        agree(ours, theirs)


@pytest.mark.parametrize("dialect", ["\ufffd", "bytes"])
def test_text_scores_as_token_ids_do(ask, native, server, dialect):
    server.habits.part_of_character = dialect
    engine = ask(tokenizer=False)
    plain = [pair for pair in TEXTS if ("".join(pair)).isascii()]
    for ours, theirs in zip(scores(engine, plain), scores(native, plain), strict=True):
        agree(ours, theirs)
    assert engine.max_length is None


def test_characters_of_several_tokens_in_the_context_do_not_move_the_join(ask, native):
    pair = TEXTS[5]
    agree(scores(ask(tokenizer=False), [pair])[0], scores(native, [pair])[0])


def test_a_continuation_that_cannot_be_told_from_its_context_is_a_failure(ask):
    [answer] = scores(ask(tokenizer=False), [TEXTS[4]])
    assert isinstance(answer, Failure)
    assert "do not spell the prompt" in answer.reason


def test_a_token_that_spans_the_join_is_scored_as_with_token_ids_or_not_at_all(ask, native):
    engine = ask(tokenizer=False)
    rest, swallowed, more = scores(engine, SPANNING)
    agree(swallowed, scores(native, SPANNING)[1])
    assert "a token spans the join" in rest.reason
    assert "a token spans the join" in more.reason


@pytest.mark.parametrize("lists_bos", [True, False])
@pytest.mark.parametrize("given", [True, False])
def test_a_server_that_adds_bos_to_text(ask, native, server, lists_bos, given):
    server.habits = replace(server.habits, token_ids=False, adds_bos=True, lists_bos=lists_bos)
    pairs = [pair for pair in [*TEXTS, SPANNING[1]] if ("".join(pair)).isascii()]
    for ours, theirs in zip(
        scores(ask(given), pairs, "always"), scores(native, pairs, "always"), strict=True
    ):
        agree(ours, theirs)


def test_a_prompt_without_bos_is_not_scored_with_one(ask, server):
    server.habits = replace(server.habits, token_ids=False, adds_bos=True)
    [answer] = scores(ask(), TEXTS[:1])
    assert "the server read 23 tokens where the tokenizer makes 22" in answer.reason


def test_a_server_of_text_alone_is_held_to_the_count_of_tokens(ask, native, server):
    server.habits.token_ids = False
    engine = ask()
    for ours, theirs in zip(scores(engine, TEXTS), scores(native, TEXTS), strict=True):
        agree(ours, theirs)
    assert "The server takes no token ids; it gets text, and its count of tokens is checked." in engine.notes
    [apart] = answered(engine.score([ScoreRequest((67, 68), (69,))])).values()
    assert isinstance(apart, Score)
    a, b = native.tokenizer.encode(["a", "b"], special_tokens=False)
    [apart] = answered(engine.score([ScoreRequest(tuple(a), tuple(b))])).values()
    assert "no text has these token ids" in apart.reason


def test_greedy_texts_are_our_own_engines(ask, native):
    requests = [greedy(native, context) for context, _ in TEXTS]
    for ours, theirs in zip(texts(ask(), requests), texts(native, requests), strict=True):
        assert (ours.text, ours.tokens, ours.finish) == (theirs.text, theirs.tokens, theirs.finish)


@pytest.mark.parametrize("most", [None, 4])
@pytest.mark.parametrize("tells", [True, False])
def test_any_number_of_stop_strings(ask, native, server, most, tells):
    server.habits = replace(server.habits, most_stops=most, tells_stop=tells)
    [whole] = texts(native, [greedy(native, "The cat")])
    stops = ["zzzz", "yyyy", "xxxx", "wwww", whole.text[3], whole.text[5:7]]
    request = greedy(native, "The cat", stop=stops)
    engine = ask()
    [ours], [theirs] = texts(engine, [request]), texts(native, [request])
    assert (ours.text, ours.finish) == (theirs.text, theirs.finish)
    assert len(server.asked[-1]["stop"]) == (most or 6)
    assert any("4 stop strings" in note for note in engine.notes) == (most == 4)


def test_texts_end_at_the_end_token_and_at_the_window(ask, native, server):
    requests = [greedy(native, "x" * length, max_tokens=60) for length in (5, 90, 120)]
    for ours, theirs in zip(texts(ask(), requests), texts(native, requests), strict=True):
        assert (ours.text, ours.tokens, ours.finish) == (theirs.text, theirs.tokens, theirs.finish)
    endings = {answer.finish for answer in texts(native, requests)}
    assert "window" in endings


def test_text_alone_may_fill_the_window_too(ask, native):
    engine = ask(tokenizer=False)
    [characters] = encode_contexts(engine.tokenizer, ["x" * 120], "never")
    [ours] = texts(engine, [GenerateRequest(characters, (), 60)])
    [theirs] = texts(native, [greedy(native, "x" * 120, max_tokens=60)])
    assert (ours.text, ours.finish) == (theirs.text, theirs.finish) == (theirs.text, "window")


def test_a_prompt_longer_than_the_window_is_counted_and_not_scored(ask):
    engine = ask(tokenizer=False)
    [answer] = scores(engine, [("x" * 200, "y")])
    assert isinstance(answer, Failure)
    assert answer.too_long
    assert ask().max_length == 128


def test_what_the_server_does_by_default_is_undone(ask, native, server):
    server.habits.repetition_penalty = 1.3
    requests = [greedy(native, context) for context, _ in TEXTS]
    assert [answer.text for answer in texts(ask(), requests)] == [a.text for a in texts(native, requests)]
    server.habits = Habits(knows_neutral=False)
    engine = ask()
    texts(engine, requests[:1])
    assert any("its own defaults apply" in note for note in engine.notes)


def test_samples_differ_and_come_again(ask, native, server):
    requests = [greedy(native, "The", temperature=1.0, top_p=1.0, seed=5, sample=n) for n in range(3)]
    first, second = texts(ask(), requests), texts(ask(), requests)
    assert first == second
    assert len({answer.text for answer in first}) == 3
    server.habits.seeds = False
    engine = ask()
    texts(engine, requests)
    assert any("does not honour seeds" in note for note in engine.notes)


def test_a_server_without_echo_refuses_scores_and_generates(ask, native, server):
    server.habits.echo = False
    engine = ask()
    for answer in scores(engine, TEXTS[:2]):
        assert answer.reason.startswith(
            "the server cannot score: the server answered 400: echo is not supported"
        )
    request = greedy(native, "The cat")
    assert texts(engine, [request])[0].text == texts(native, [request])[0].text
    assert len([note for note in engine.notes if note.startswith("The server cannot score")]) == 1


def test_log_probabilities_that_are_not_the_servers_own_are_refused(ask, server):
    server.habits.row_late = True
    [answer] = scores(ask(tokenizer=False), TEXTS[:1])
    assert "are not those of its own next token" in answer.reason


def test_the_answers_do_not_depend_on_concurrency_and_keep_to_it(ask, native, server):
    pairs = list(itertools.product([text for text, _ in TEXTS], [" one", " two", " three"]))
    server.habits.delay = 0.02
    alone = scores(ask(concurrency=1), pairs)
    assert server.most_at_once == 1
    assert scores(ask(concurrency=3), pairs) == alone
    assert 2 <= server.most_at_once <= 3


def test_parts_answer_apart_as_they_do_together(ask):
    engine = ask()
    requests = [encode_pairs(engine.tokenizer, [pair], "never")[0].request for pair in TEXTS]
    parts = engine.partition(requests)
    assert sorted(map(repr, itertools.chain(*parts))) == sorted(map(repr, requests))


def test_what_is_answered_is_not_asked(ask, server):
    engine = ask()
    requests = [encode_pairs(engine.tokenizer, [pair], "never")[0].request for pair in TEXTS]
    first = answered(engine.score(requests[:5]))
    asked = len(server.asked)
    assert set(answered(engine.score(requests, answered=first))) == set(requests[5:])
    assert len(server.asked) == asked + 2


def test_the_identity_is_what_the_server_tells_and_does_not_change_with_time(ask, server):
    assert ask().identity == ask().identity
    assert ask().identity.numerics == "openai tests"
    assert ask(tokenizer=False).identity.numerics == "openai tests text"
    assert ask(weights="step 12000").identity.weights != ask().identity.weights
    assert any("cannot be verified" in note for note in ask().notes)


def test_the_key_is_sent_and_never_told(ask, server, monkeypatch):
    server.habits.key = "sk-secret"
    with pytest.raises(UserError, match=r"requires a key .* set EVALSUITE_API_KEY"):
        _ = ask().identity
    monkeypatch.setenv("EVALSUITE_API_KEY", "sk-wrong")
    with pytest.raises(UserError) as caught:
        _ = ask().identity
    assert "sk-wrong" not in str(caught.value)
    monkeypatch.setenv("EVALSUITE_API_KEY", "sk-secret")
    engine = ask()
    assert isinstance(scores(engine, TEXTS[:1])[0], Score)
    assert "sk-secret" not in repr(engine.notes) + repr(engine.identity)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_url": ""}, "needs the server's address"),
        ({"base_url": "localhost:8000"}, "takes an address such as http://localhost:8000"),
        ({"base_url": "http://user:pass@host"}, "must contain no key or password"),
        ({"concurrency": "0"}, "concurrency takes a number of at least 1, got '0'"),
        ({"timeout": "soon"}, "timeout takes a number of at least 1, got 'soon'"),
        ({"patience": "nan"}, "patience takes a number of at least 0, got 'nan'"),
    ],
)
def test_a_wrong_setting_is_one_sentence(ask, settings, said):
    with pytest.raises(UserError, match=said):
        ask(**settings)


def test_device_and_data_type_are_the_servers_business(server):
    with pytest.raises(UserError, match="takes no --device"):
        make_engine(
            EngineSpec(
                "openai", ModelFiles.elsewhere("tiny"), device="cpu", arguments=(f"base_url={server.url}",)
            )
        )


@pytest.mark.parametrize("package", ["anyio", "httpx2"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    spec = EngineSpec("openai", ModelFiles.elsewhere("m"), arguments=("base_url=http://localhost:9",))
    with pytest.raises(UserError, match=r"pip install 'evalsuite\[openai\]'"):
        make_engine(spec)
