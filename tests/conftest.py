"""Every test runs without a hub and without the user's own settings."""

import gc
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("everyday", deadline=None, derandomize=True)  # the same draws each time
hypothesis.settings.register_profile("search", deadline=None)  # for `make test-slow`
hypothesis.settings.load_profile("everyday")

SLOW_LIMIT = 3600
"""Seconds of a slow test that sets no limit of its own."""

_numbers = itertools.count()

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before anything imports torch; the processes that tests start inherit it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


class NoEndError(BaseException):
    """A test takes longer than it may. Not an Exception: hypothesis would call what hangs again, to find
    why."""


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings):
    """pytest-timeout's alarm, but raising what neither hypothesis nor the code under test takes for a
    failure."""

    def expired(_signal, _frame) -> None:
        raise NoEndError(f"no end within {settings.timeout:.0f} s")

    started = yield
    signal.signal(signal.SIGALRM, expired)
    return started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Modules and tests, 700,000 objects, stay to the end: full garbage collections, each of half a second,
    looked at all of them and took two thirds of some files' time."""
    gc.collect()
    gc.freeze()


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
    monkeypatch.setattr("evalsuite.engine.native.trials.forms.forms_path", lambda: path)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A tiny random Llama as a folder; torch is imported only where a test asks for it."""
    import torch

    from tests.engine.tiny import save, tiny_llama

    torch.set_num_threads(1)
    return save(tiny_llama(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def one_scoring_process(monkeypatch) -> None:
    """As on one core: the start of a scoring process takes longer than the few texts that a test gives it."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})


@pytest.fixture
def quick_collections() -> None:
    """For tests of short memory, where the engine calls `gc.collect` again and again: what earlier tests left
    stays out, too."""
    gc.collect()
    gc.freeze()
