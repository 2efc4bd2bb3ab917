"""Tiny hybrids on packed trees with the kernels, against the torch functions and one request at a time."""

import numpy as np
import pytest
import torch

from evalsuite.engine.native import kernels
from evalsuite.engine.native.fit_trees import why_it_differs
from evalsuite.engine.native.loading.load import ready
from evalsuite.engine.native.score_packed import score_run
from evalsuite.engine.native.trees import recurrent
from evalsuite.engine.planning.plan import plan_packs
from tests.engine.native.hybrids import HYBRIDS
from tests.engine.native.kernels.where import DEVICE, INTERPRETED
from tests.engine.native.test_packed_hybrids import alone
from tests.engine.native.test_score_packed import furthest, largest_logit, questions, scored

OF_SCALE = 1e-5 if INTERPRETED else 1e-3
"""On a GPU torch multiplies float32 in ways of its own."""


def forbidden(*args, **options):
    raise AssertionError("torch computed what a kernel should have")


@pytest.fixture
def by_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "kernels_unsupported_reason", lambda device: "")
    monkeypatch.setattr(recurrent, "tree_conv", forbidden)
    monkeypatch.setattr(recurrent, "tree_scan", forbidden)


@pytest.fixture(params=["nemotron_h", "mamba2", "falcon_h1, no norm"])
def name(request) -> str:
    return request.param


def test_a_hybrid_scores_as_without_kernels_and_as_one_request_at_a_time(name, request):
    requests = questions(shots=80, documents=2)
    by_torch, by_itself = scored(HYBRIDS[name](), requests), alone(HYBRIDS[name](), requests)
    scale = max(1.0, largest_logit(HYBRIDS[name](), requests))
    request.getfixturevalue("by_kernels")
    plan, loaded = plan_packs(requests, 150), ready(HYBRIDS[name]().to(DEVICE), DEVICE)
    answers = dict(answer for run in plan.runs for answer in score_run(loaded, plan, run))
    assert furthest(answers, by_torch) <= OF_SCALE * scale
    assert furthest(answers, by_itself) <= OF_SCALE * scale
    assert [answers[one].is_greedy for one in requests] == [by_torch[one].is_greedy for one in requests]


@pytest.mark.usefixtures("by_kernels")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_trial_passes(name, dtype):
    assert why_it_differs(ready(HYBRIDS[name]().to(DEVICE, dtype), DEVICE)) == ""


@pytest.mark.usefixtures("by_kernels")
def test_the_trial_finds_kernels_that_do_not_walk(monkeypatch):
    from evalsuite.engine.native.trees.kernels import tables

    left = np.maximum(np.arange(-1, 40), 0)
    monkeypatch.setattr(tables, "parents_of", lambda pack: np.append(left[: len(pack)], len(pack)))
    assert "differed" in why_it_differs(ready(HYBRIDS["nemotron_h"]().to(DEVICE), DEVICE))
