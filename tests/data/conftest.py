"""A tiny mirror in the hub's layout, and a hub that nobody waits for."""

from pathlib import Path

import pytest

from .tiny_mirror import TinyMirror


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    """Offline by declaration, so that no test waits for a network; tests of the hub undo it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def mirror(tmp_path: Path) -> TinyMirror:
    return TinyMirror(tmp_path / "mirror")
