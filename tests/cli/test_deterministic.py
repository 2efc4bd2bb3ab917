"""`--deterministic` is part of what was asked for, and of the numerics class."""

import pytest
import torch

from tests.runs.bench import read_json


@pytest.fixture(autouse=True)
def torch_as_it_was(monkeypatch):
    """The mode is the process's."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = before


def test_a_deterministic_run_says_so_in_its_log(run, bench):
    assert run("quiz", deterministic=True).code == 0
    log = read_json(bench.out / "run.json")
    assert log["spec"]["engine_args"] == ["deterministic=yes"]
    assert log["model"]["numerics"].endswith("packed deterministic")
