import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalsuite.data import DatasetRef, hub, load_split
from evalsuite.errors import DataError
from tests.data.stub_hub import COMMIT, ID, ROWS, stub_hub

# In a process of its own, because `datasets` reads endpoint and cache folder when it is imported.
LOAD = """
import json, sys
from evalsuite.data import DatasetRef, load_split
from evalsuite.errors import UserError
id, config, revision = sys.argv[1:]
try:
    found = load_split(DatasetRef(id, ("question", "label"), config, revision or None), "test")
    print(json.dumps([found.rows, found.source, found.notes]))
except UserError as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture
def online(monkeypatch):
    """Undo the suite's offline mode; the loopback is never asked through a proxy."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def load_in_new_process(endpoint: str, cache: Path, config: str = "main", revision: str = ""):
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1"}
    arguments = [sys.executable, "-c", LOAD, ID, config, revision]
    done = subprocess.run(
        arguments,
        env=env,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


@pytest.mark.usefixtures("online")
def test_rows_come_from_the_hub_and_then_from_its_cache_when_the_hub_is_gone(tmp_path):
    with stub_hub() as endpoint:
        (rows, source, notes), _ = load_in_new_process(endpoint, tmp_path, revision=COMMIT)
        assert rows == ROWS
        assert source == f"hub {ID}@{COMMIT}"
        assert notes == []
    (rows, source, notes), stderr = load_in_new_process(endpoint, tmp_path, revision="b" * 40)
    assert rows == ROWS
    assert source == f"hub cache {ID}@{COMMIT}"
    assert notes[0] == f"{ID} has revision {COMMIT}, but the task's reference names {'b' * 40}."
    assert len(notes) == 2
    assert "they are not pinned" in notes[1]
    assert stderr == ""


@pytest.mark.usefixtures("online")
def test_a_config_that_the_hub_does_not_have_is_said_with_its_reason(tmp_path):
    with stub_hub() as endpoint:
        error, _ = load_in_new_process(endpoint, tmp_path, config="other")
    assert "hub: BuilderConfig 'other' not found" in error


@pytest.mark.usefixtures("online")
def test_a_hub_that_refuses_is_noticed_at_once_and_the_cache_is_still_tried(monkeypatch, closed_port):
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port}")
    start = time.monotonic()
    with pytest.raises(DataError, match=r"does not answer: .*refused.*, and its local cache") as error:
        load_split(DatasetRef(ID, ("question",), "main"), "test")
    # Generous: importing `datasets` is most of it.
    assert time.monotonic() - start < 20
    assert str(closed_port) in str(error.value)


def test_the_offline_flags_are_put_back():
    import datasets
    import huggingface_hub

    def flags():
        return huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE

    before = flags()
    with hub.offline():
        assert huggingface_hub.is_offline_mode()
        assert datasets.config.HF_HUB_OFFLINE
    assert flags() == before
