"""Whatever a server does, an answer is right, or there is none and it says why; and none is lost."""

import json
import os
import signal
import threading
import time

import pytest

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.openai import http as openai_http
from evalsuite.engine.openai.engine import OpenAIEngine
from evalsuite.engine.openai.http import _retry_after
from evalsuite.engine.protocol import Answered
from evalsuite.errors import UserError
from evalsuite.types import Failure, Score
from tests.engine.openai.completions_server import CompletionsServer
from tests.engine.openai.test_engine import agree, answered, encode_pairs, files, native, scores, tokenizer  # noqa: F401
from tests.engine.tiny import tiny_llama

PAIRS = [
    (f"Line {number} of the poem", f" ends in {word}") for number in range(6) for word in ("rain", "snow")
]


@pytest.fixture
def server():
    with CompletionsServer(tiny_llama(), tokenizer()) as running:
        yield running


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(openai_http, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(openai_http, "LONGEST_WAIT", 0.1)


@pytest.fixture
def ask(server, files):  # noqa: F811
    def make(**settings: object) -> OpenAIEngine:
        given = {
            "base_url": server.url,
            "patience": 5,
            "concurrency": 3,
            "tokenizer": files.folder,
            **settings,
        }
        engine = OpenAIEngine(
            ModelFiles.elsewhere("tiny"), arguments={name: str(value) for name, value in given.items()}
        )
        engine.load()  # faults come when the work has begun
        server.asked.clear()
        return engine

    return make


def now_and_then(fault: str):
    """Every second prompt fails the first two times that it is sent."""
    sent: list[list[int]] = []

    def decide(number: int, body: dict) -> str | None:
        sent.append(body["prompt"])
        return fault if sum(body["prompt"]) % 2 and sent.count(body["prompt"]) <= 2 else None

    return decide


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("drop", "the connection broke"),
        ("500", "the server answered 500: fault 500"),
        ("502", "the server answered 502"),
        ("429", "the server answered 429"),
        ("503", "the server answered 503"),
        ("hang", "no whole answer within 1 s"),
    ],
)
def test_a_server_that_fails_now_and_then_changes_nothing(ask, server, native, fault, said):  # noqa: F811
    engine = ask(timeout=1)
    server.habits.fault = now_and_then(fault)
    for ours, theirs in zip(scores(engine, PAIRS), scores(native, PAIRS), strict=True):
        agree(ours, theirs)
    assert any(note.startswith("Sent again") and said in note for note in engine.notes), engine.notes


def test_a_slow_server_is_waited_for(ask, server, native):  # noqa: F811
    engine = ask()
    server.habits.delay = 0.3
    agree(scores(engine, PAIRS[:1])[0], scores(native, PAIRS[:1])[0])


def test_retry_after_is_kept_to(ask, server):
    engine = ask(concurrency=1)
    server.habits.retry_after = "1"
    server.habits.fault = lambda number, body: "429" if number == 0 else None
    began = time.monotonic()
    [answer] = scores(engine, PAIRS[:1])
    assert isinstance(answer, Score)
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("-2", 0.0),
        (None, None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(header, seconds):
    assert _retry_after(header) == seconds


def test_one_request_that_always_fails_costs_itself_alone(ask, server, native):  # noqa: F811
    engine = ask(retries=2)
    poison = native.tokenizer.encode([PAIRS[4][0]], special_tokens=False)[0]
    server.habits.fault = lambda number, body: "500" if body["prompt"][: len(poison)] == poison else None
    answers = scores(engine, PAIRS)
    failed = [place for place, answer in enumerate(answers) if isinstance(answer, Failure)]
    assert failed == [4, 5]
    assert answers[4].reason == "the server answered 500: fault 500; tried 3 times"


def test_an_answer_that_is_no_completion_is_a_failure(ask, server):
    engine = ask()
    server.habits.fault = lambda number, body: "nonsense"
    [answer] = scores(engine, PAIRS[:1])
    assert "the answer is not a completion" in answer.reason


def test_a_server_that_dies_and_comes_back_is_survived(ask, server, native):  # noqa: F811
    engine = ask()
    server.habits.fault = lambda number, body: "restart" if number == 4 else None
    for ours, theirs in zip(scores(engine, PAIRS), scores(native, PAIRS), strict=True):
        agree(ours, theirs)
    assert any("is unreachable" in note for note in engine.notes)


def test_a_server_that_stays_away_leaves_failures_and_what_was_answered(ask, server):
    engine = ask(patience=1)
    server.habits.fault = lambda number, body: "die" if number == 6 else None
    began = time.monotonic()
    answers = scores(engine, PAIRS)
    assert time.monotonic() - began < 5
    failed = [answer for answer in answers if isinstance(answer, Failure)]
    beside = 2  # at work when the server died, with a concurrency of 3: these may still be answered
    assert len(failed) >= len(PAIRS) - 6 - beside
    assert any(isinstance(answer, Score) for answer in answers)
    assert all("is unreachable" in answer.reason for answer in failed)
    began = time.monotonic()
    assert all(isinstance(answer, Failure) for answer in scores(engine, PAIRS[:3]))
    assert time.monotonic() - began < 1


def test_answers_come_while_others_are_under_way(ask, server):
    engine = ask(concurrency=2)
    requests = [encode_pairs(engine.tokenizer, [pair], "never")[0].request for pair in PAIRS]
    events = engine.score(requests)
    first = next(event for event in events if isinstance(event, Answered))
    assert len(first.answers) <= 2
    assert len(server.asked) < len(requests)
    events.close()
    asked = len(server.asked)
    time.sleep(0.2)
    assert len(server.asked) <= asked + 1


@pytest.fixture
def interruptible():
    """As from a terminal: what runs in a shell's background begins with interruptions switched off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_nothing_is_sent_after_an_interruption(ask, server, interruptible):
    engine = ask()
    server.habits.fault = lambda number, body: "503"
    server.habits.retry_after = "60"
    blocks = engine.score([encode_pairs(engine.tokenizer, PAIRS[:1], "never")[0].request])
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        answered(blocks)
    assert time.monotonic() - began < 5


def test_a_server_that_goes_while_it_is_probed_is_one_sentence(server, files):  # noqa: F811
    engine = OpenAIEngine(ModelFiles.elsewhere("tiny"), arguments={"base_url": server.url})
    server.habits.fault = lambda number, body: "die" if number == 2 else None
    with pytest.raises(UserError, match="stopped answering"):
        scores(engine, PAIRS[:1])


def test_requests_are_plain_json(ask, server):
    scores(ask(), PAIRS[:1])
    [body] = server.asked
    assert json.loads(json.dumps(body)) == body
    assert (body["max_tokens"], body["echo"], body["logprobs"], body["temperature"]) == (1, True, 1, 0.0)
