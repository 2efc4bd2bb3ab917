"""`evalsuite run --engine openai`, as a user of a server sees it."""

import dataclasses

import pytest

from evalsuite.results.store import ResponseStore
from tests.cli.tiny_run import sentence
from tests.engine.openai.completions_server import CompletionsServer, Habits
from tests.runs.bench import read_json


@pytest.fixture
def server():
    from tests.engine.tiny import byte_tokenizer, tiny_llama

    with CompletionsServer(tiny_llama(), byte_tokenizer(), Habits()) as running:
        yield running


@pytest.fixture
def served(run, server, model):
    """`evalsuite run` that asks the server; the tokenizer is the model folder's."""

    def call(*tasks, **options):
        given = {
            "engine": "openai",
            "base_url": server.url,
            "model": "tiny",
            "device": None,
            "engine_arg": f"tokenizer={model}",
        }
        return run(*tasks, **given | options)

    return call


def test_scores_are_those_of_our_own_engine(served, run, bench):
    assert served().code == 0
    theirs = read_json(bench.out / "run.json")
    assert run(out=bench.folder / "native").code == 0
    ours = read_json(bench.folder / "native" / "run.json")
    assert [task["metrics"] for task in theirs["tasks"]] == [task["metrics"] for task in ours["tasks"]]
    assert theirs["model"]["id"] == "tiny"
    assert theirs["model"]["numerics"] == "openai tests"
    assert any("cannot be verified" in note for note in theirs["notes"])


def test_a_finished_run_asks_for_nothing(served, server):
    assert served().code == 0
    asked = len(server.asked)
    assert served().code == 0
    assert len(server.asked) == asked


def test_concurrency_makes_no_other_run(served, server):
    assert served("quiz", engine_arg="concurrency=2").code == 0
    asked = len(server.asked)
    assert served("quiz", engine_arg="concurrency=3").code == 0
    assert len(server.asked) == asked


def test_the_key_stands_in_no_file(served, server, bench, monkeypatch):
    server.habits.key = "sk-very-secret"
    assert "requires a key" in sentence(served())
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    done = served()
    assert done.code == 0
    assert "sk-very-secret" not in done.out + done.err
    for path in bench.out.rglob("*"):
        assert not path.is_file() or b"sk-very-secret" not in path.read_bytes()


@pytest.mark.parametrize(
    ("habits", "options", "said"),
    [
        ({}, {"base_url": "http://127.0.0.1:9"}, "The server at http://127.0.0.1:9/v1 is unreachable"),
        ({}, {"base_url": None}, "--engine openai needs the server's address: --base-url"),
        ({}, {"base_url": "host:80"}, "--base-url takes an address such as"),
        ({}, {"model": "tinny"}, "Unknown model 'tinny'. Did you mean tiny? The server has another, tiny."),
        (
            {"completions": False},
            {},
            "does not complete text with model 'tiny' (the server answered 404: Not Found)",
        ),
        (
            {},
            {"engine_arg": "concurency=3"},
            "Unknown engine setting 'concurency'. Did you mean concurrency?",
        ),
        ({}, {"engine_arg": "tokenizer=./nowhere"}, "Model folder or file ./nowhere does not exist."),
        ({}, {"device": "cpu"}, "--engine openai takes no --device"),
        ({}, {"plan_only": True}, "--plan-only is for the native engine"),
        (
            {},
            {"engine": "native", "engine_arg": None},
            "Unknown engine setting 'base_url'. Engine native takes deterministic, graphs.",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(served, server, habits, options, said):
    server.habits = dataclasses.replace(server.habits, **habits)
    options = {"out": None, **options} if "plan_only" in options else options
    assert said in sentence(served("quiz", **options))


def test_without_echo_texts_are_scored_and_choices_are_not(served, server, bench):
    server.habits.echo = False
    done = served("quiz", "sums")
    assert done.code == 1
    quiz, sums = read_json(bench.out / "run.json")["tasks"]
    assert quiz["metrics"] == {}
    assert sums["metrics"]
    assert "the server cannot score: the server answered 400: echo is not supported" in done.out


def test_a_server_that_stays_away_costs_no_answer_that_was_given(served, server, bench):
    assert served("quiz", out=bench.out.with_name("whole"), engine_arg="patience=2").code == 0
    whole = len(server.asked)
    server.habits.fault = lambda number, body: "die" if number == whole + 14 else None
    done = served("quiz", engine_arg="patience=1")
    assert done.code == 1
    assert "is unreachable" in done.out
    stored = ResponseStore(bench.out / "responses.sqlite")
    given = len(stored)
    stored.close()
    before = len(server.asked)
    server.habits.fault = lambda number, body: None
    server.start()
    assert served("quiz", engine_arg="patience=2").code == 0
    assert given > 0
    assert len(server.asked) - before <= whole - given


def test_prompts_that_a_server_of_text_refuses_are_too_long(served, bench):
    from tests.cli.tiny_run import too_long

    too_long(bench)
    done = served("quiz", engine_arg=None, out=bench.out, allow_failures=True, allow_data_drift=True)
    counts = read_json(bench.out / "run.json")["tasks"][0]["counts"]
    assert counts["too_long"] == 1, done
    assert counts["failed"] == 0
