"""Every test runs without a hub and without the user's own settings."""

import gc
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_numbers = itertools.count()

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before anything imports torch; the processes that tests start inherit it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="session")
def _no_hub() -> Iterator[None]:
    """Offline by declaration, so that no test waits for a network; tests of the hub undo it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.delenv("EVALSUITE_DATA", raising=False)
        yield


@pytest.fixture(autouse=True)
def _no_forms_of_earlier_tests(tmp_path_factory, monkeypatch) -> None:
    """What trials find is remembered by the weights, and tests make trials of the same weights fail."""
    path = tmp_path_factory.getbasetemp() / f"forms-{next(_numbers)}.json"
    monkeypatch.setattr("evalsuite.engine.forms.forms_path", lambda: path)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A tiny random Llama as a folder; torch is imported only where a test asks for it."""
    import torch
    from engine.tiny import save, tiny_llama

    torch.set_num_threads(1)
    return save(tiny_llama(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def quick_collections() -> None:
    """For tests of short memory, where the engine calls `gc.collect` again and again: what is there already stays out."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
