"""Checkpoints to copy, made once, and the command line's arguments over a tiny bench."""

from pathlib import Path

import pytest

from tests.cli.conftest import cli
from tests.runs.bench import ADDRESSES, Bench
from tests.watch.writing import checkpoint

__all__ = ["cli"]
STEPS = (100, 200, 300)


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> dict[int, Path]:
    """Complete checkpoints by step, in a folder that nothing watches."""
    folder = tmp_path_factory.mktemp("made")
    return {step: checkpoint(folder / f"step-{step}", seed) for seed, step in enumerate(STEPS)}


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench.make(tmp_path, documents=24)


@pytest.fixture
def arguments(bench):
    """The arguments of `watch` or `sweep` behind its own ones."""

    def of(*more: object, smoke: bool = False) -> list[str]:
        named = {"data": bench.data, "include": bench.plugin, "device": "cpu", "out": bench.folder / "runs"}
        listed = [str(part) for name, value in named.items() for part in (f"--{name}", value)]
        untested = [] if smoke else ["--no-smoke"]  # random models fail the smoke test
        return ["--tasks", ADDRESSES[0], *untested, *map(str, more), *listed]

    return of
