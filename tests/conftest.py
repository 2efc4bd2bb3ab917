"""Every test runs without a hub and without the user's own settings."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def _no_hub() -> Iterator[None]:
    """Offline by declaration, so that no test waits for a network; tests of the hub undo it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.delenv("EVALSUITE_DATA", raising=False)
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A tiny random Llama as a folder; torch is imported only where a test asks for it."""
    import torch
    from engine.tiny import save, tiny_llama

    torch.set_num_threads(1)
    return save(tiny_llama(), tmp_path_factory.mktemp("models") / "tiny")
