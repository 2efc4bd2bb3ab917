"""Stop strings that spell special tokens end a text in every engine as they do in our own."""

import pytest

from evalsuite.checkpoints import ModelFiles, resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.openai.engine import OpenAIEngine
from evalsuite.engine.protocol import answers_in
from evalsuite.engine.vllm.engine import VllmEngine
from evalsuite.requests.encode import encode_contexts
from evalsuite.types import GenerateRequest
from tests.engine.openai.completions_server import CompletionsServer, Habits
from tests.engine.tiny import byte_tokenizer, greedy_alone, save, tiny_llama, with_special
from tests.engine.vllm.shapes import installed

TURN = "<|turn|>"
PROMPT = "The cat"
TOKENS = 12


@pytest.fixture(scope="module")
def said() -> list[int]:
    """What the model says behind the prompt."""
    ids = byte_tokenizer().encode(PROMPT, add_special_tokens=False)
    return greedy_alone(tiny_llama(), tuple(ids), TOKENS)


@pytest.fixture(scope="module")
def tokenizer(said):
    """Calls the fifth token that the model says a special one."""
    assert said[4] not in said[:4]
    return with_special(byte_tokenizer(), said[4], TURN)


@pytest.fixture(scope="module")
def files(tmp_path_factory, tokenizer) -> ModelFiles:
    folder = save(tiny_llama(), tmp_path_factory.mktemp("turns"))
    tokenizer.save_pretrained(folder)
    return resolve(str(folder))


@pytest.fixture(scope="module")
def native(files) -> TransformersEngine:
    return TransformersEngine(files, dtype="float32", device="cpu")


@pytest.fixture
def server(tokenizer):
    with CompletionsServer(tiny_llama(), tokenizer) as running:
        yield running


def openai(server, files, **settings) -> OpenAIEngine:
    given = {"base_url": server.url, "tokenizer": str(files.folder), "patience": "5", **settings}
    return OpenAIEngine(
        ModelFiles.elsewhere("tiny"), arguments={name: one for name, one in given.items() if one}
    )


def answer(engine, *stops: str, backend="evalsuite"):
    [context] = encode_contexts(engine.tokenizer, [PROMPT], "never")
    request = GenerateRequest(context, stops, TOKENS, backend=backend)
    [found] = [answer for _, answer in answers_in(engine.generate([request]))]
    return found


def test_the_token_ends_our_own_text(native, said):
    found = answer(native, TURN)
    assert (found.finish, found.tokens) == ("stop", 5)
    assert found.text == native.tokenizer.decode(said[:4])


@pytest.mark.parametrize("backend", ["evalsuite", "lm_eval_hf"])
@pytest.mark.parametrize("kind", ["alone", "after text", "before text", "inside", "not said", "end token"])
def test_vllms_text_is_our_own_engines(native, files, tokenizer, said, kind, backend, monkeypatch):
    before, after = (native.tokenizer.decode([said[place]]) for place in (3, 5))
    stop = {
        "alone": TURN,
        "after text": before + TURN,
        "before text": TURN + after,
        "inside": "turn",
        "not said": "<s>",
        "end token": "</s>",
    }[kind]
    llms = installed(monkeypatch, tiny_llama(), tokenizer, 128)
    engine = VllmEngine(files, dtype="float32")
    ours, theirs = answer(native, stop, "zz", backend=backend), answer(engine, stop, "zz", backend=backend)
    assert (theirs.text, theirs.tokens, theirs.finish) == (ours.text, ours.tokens, ours.finish)
    asked = {"alone": [said[4]], "not said": [0], "end token": [1]}
    assert llms[0].params[-1].stop_token_ids == asked.get(kind)


@pytest.mark.parametrize("tells", [True, False])
def test_a_completions_server_ends_the_text_there(native, files, server, tells):
    server.habits = Habits(tells_stop=tells)
    engine = openai(server, files)
    ours, theirs = answer(native, TURN), answer(engine, TURN)
    assert (theirs.text, theirs.tokens, theirs.finish) == (ours.text, ours.tokens, ours.finish)
    assert not any(TURN in note for note in engine.notes)


@pytest.mark.parametrize("heeds", [False, None])
def test_a_server_that_does_not_heed_ids_is_said(native, files, server, heeds):
    server.habits = Habits(stop_ids=heeds)
    engine = openai(server, files)
    assert answer(engine, TURN).text == answer(native).text
    [note] = [note for note in engine.notes if TURN in note]
    assert note.endswith("(the server was not seen to heed `stop_token_ids`); a text may continue after it.")


def test_stop_strings_of_more_than_the_token_are_said(files, server):
    engine = openai(server, files)
    answer(engine, TURN + "\n", "zz")
    [note] = [note for note in engine.notes if TURN in note]
    assert "only stop strings that are one token" in note


@pytest.mark.parametrize("stop", [TURN, "</s>", "<eos>"])
def test_without_a_tokenizer_what_looks_special_is_said(files, server, stop):
    engine = openai(server, files, tokenizer="")
    answer(engine, stop, "Question:", "<3")
    [note] = [note for note in engine.notes if stop in note]
    assert "without --tokenizer its tokens are not known" in note
    assert "Question" not in note
