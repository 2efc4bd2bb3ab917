import io
import sys
import types
import urllib.error

import pytest

from evalsuite import hub


def answering(result):
    calls = []

    def urlopen(request, timeout):
        calls.append((request.full_url, timeout))
        if isinstance(result, Exception):
            raise result
        return io.BytesIO()

    return urlopen, calls


def status(code):
    return urllib.error.HTTPError("http://hub", code, "", None, None)


@pytest.mark.parametrize(
    ("result", "reachable"),
    [
        (None, True),
        (status(401), True),
        (status(404), True),
        (status(503), False),
        (status(407), False),
        (urllib.error.URLError("refused"), False),
        (TimeoutError("timed out"), False),
        (ValueError("unknown url type"), False),
    ],
)
def test_the_hub_is_there_if_anything_of_its_own_answers(monkeypatch, result, reachable):
    urlopen, _ = answering(result)
    monkeypatch.setattr(hub.urllib.request, "urlopen", urlopen)
    assert hub.hub_reachable() is reachable
    assert bool(hub.hub_problem()) is not reachable


def test_the_endpoint_is_asked_once_with_a_short_timeout(monkeypatch):
    urlopen, calls = answering(None)
    monkeypatch.setattr(hub.urllib.request, "urlopen", urlopen)
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror/")
    assert hub.hub_reachable()
    assert hub.hub_reachable()
    assert calls == [("http://mirror", hub.TIMEOUT)]


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_whoever_wants_to_stay_offline_is_not_probed(monkeypatch, value):
    monkeypatch.setattr(hub.urllib.request, "urlopen", None)
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert not hub.hub_reachable()


def test_going_offline_reaches_libraries_that_are_loaded_already(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    constants = types.SimpleNamespace(HF_HUB_OFFLINE=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub.constants", constants)
    config = types.SimpleNamespace(HF_HUB_OFFLINE=False, HF_DATASETS_OFFLINE=False)
    monkeypatch.setitem(sys.modules, "datasets.config", config)
    hub.go_offline()
    assert constants.HF_HUB_OFFLINE
    assert config.HF_DATASETS_OFFLINE
    assert hub.asked_to_stay_offline()
