import socket
import time
import urllib.error

import pytest

from evalsuite import offline as hub


@pytest.fixture(autouse=True)
def fresh_probe(monkeypatch):
    """The probe's answer is remembered for a process; here every test asks anew."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid/")
    hub._why_silent.cache_clear()
    yield
    hub._why_silent.cache_clear()


def status(code):
    return urllib.error.HTTPError("http://hub.invalid", code, "", None, None)


@pytest.mark.parametrize("answer", [status(401), status(404)])
def test_a_refusal_is_an_answer(monkeypatch, answer):
    monkeypatch.setattr(hub.urllib.request, "urlopen", raising(answer))
    assert hub.why_unreachable() is None


@pytest.mark.parametrize(
    "answer",
    [
        status(503),
        status(407),
        urllib.error.URLError("refused"),
        TimeoutError("timed out"),
        ValueError("no url"),
    ],
)
def test_a_gateway_or_a_dead_line_is_not(monkeypatch, answer):
    monkeypatch.setattr(hub.urllib.request, "urlopen", raising(answer))
    assert hub.why_unreachable().startswith("http://hub.invalid does not answer: ")


def raising(error):
    def urlopen(request, timeout):
        raise error

    return urlopen


def test_a_hub_that_keeps_silent_is_given_up_after_the_time_limit(monkeypatch):
    monkeypatch.setattr(hub, "PROBE_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        assert hub.why_unreachable()
        assert time.monotonic() - start < 2


def test_the_hub_is_probed_once(monkeypatch):
    knocks = []
    monkeypatch.setattr(hub, "_knock", knocks.append)
    assert hub.why_unreachable() is None
    assert hub.why_unreachable() is None
    assert knocks == ["http://hub.invalid"]


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_whoever_wants_to_stay_offline_is_not_probed(monkeypatch, value):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", value)
    monkeypatch.setattr(hub, "_knock", lambda endpoint: pytest.fail("probed"))
    assert hub.why_unreachable("HF_DATASETS_OFFLINE") == "HF_DATASETS_OFFLINE is set"


def test_an_endpoint_that_is_no_address_is_a_reason(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "huggingface")
    assert "does not answer" in hub.why_unreachable()
