"""A small SentencePiece model with the settings of the real one, and a cache of its own for every test."""

import pytest

from tests.nemo.texts import train


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "evalsuite"


@pytest.fixture(scope="session")
def pieces() -> bytes:
    return train()
