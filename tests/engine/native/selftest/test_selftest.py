"""The self-test of a GPU, on a CPU: the same code, with stand-ins in the place of kernels."""

import json
from dataclasses import replace
from importlib.metadata import version

import pytest
import torch
from torch.nn.attention import varlen

from evalsuite.cli import doctor
from evalsuite.engine.native.paths import WORK_OF
from evalsuite.engine.native.selftest import report as reporting
from evalsuite.engine.native.selftest.checks import BATCHES, FASTEST, PACKS, SLOTS, failed_row
from evalsuite.engine.native.selftest.models import MODEL_KINDS
from evalsuite.engine.native.selftest.report import (
    isolated_selftest,
    machine_of,
    selftest,
    selftest_report,
    selftest_summary,
)
from evalsuite.errors import UserError
from tests.engine.native.stand_ins import SLOT_KERNELS, as_a_gpu, put, state_update
from tests.engine.native.trees import varlen_plain

HYBRID = ("hybrid (Mamba-2)",)
FLOAT32 = (torch.float32,)


def verdicts(kinds, dtypes=FLOAT32) -> dict[tuple[str, str], str]:
    return {(one.part, one.path): one.verdict for one in selftest("cpu", kinds, dtypes)}


@pytest.fixture(scope="module")
def hybrid() -> list:
    return [*selftest("cpu", HYBRID, FLOAT32)]


def test_on_a_cpu_the_plain_paths_run_and_the_others_say_why_not(hybrid):
    ran = {(one.part, one.path) for one in hybrid if one.difference is not None}
    assert ran == {
        (PACKS, "plain"),
        (WORK_OF["log_probs"], "torch"),
        (BATCHES, "model"),
        (SLOTS, "plain"),
    }
    assert {one.verdict for one in hybrid if one.difference is not None} == {"ok"}
    others = [one for one in hybrid if one.difference is None]
    assert {WORK_OF[part] for part in ("attention", "scan", "log_probs", "steps", "graphs")} <= {
        one.part for one in others
    }
    assert all(one.cannot_run and "GPUs" in one.verdict for one in others)


def test_differences_are_those_of_rounding(hybrid):
    for one in hybrid:
        assert one.difference is None or 0 < one.difference <= one.limit
        assert one.milliseconds is None or one.milliseconds > 0


@pytest.mark.parametrize("kind", ["sliding window", "mixture of experts"])
def test_a_kind_of_model_is_right(kind):
    found = verdicts([kind])
    assert found[PACKS, "plain"] == found[SLOTS, "plain"] == found[BATCHES, "model"] == "ok"


def test_every_candidate_that_runs_is_compared(monkeypatch):
    as_a_gpu(monkeypatch)
    assert verdicts(HYBRID) == {
        (PACKS, "plain"): "ok",
        (WORK_OF["attention"], "levels"): "ok",
        (WORK_OF["scan"], "kernels"): "ok",
        (WORK_OF["pointwise"], "kernels"): "ok",
        (PACKS, FASTEST): "ok",
        (WORK_OF["log_probs"], "torch"): "ok",
        (WORK_OF["log_probs"], "kernels"): "ok",
        (BATCHES, "model"): "ok",
        (SLOTS, "plain"): "ok",
        (WORK_OF["prompts"], "kernels"): "ok",
        (WORK_OF["steps"], "kernels"): "ok",
        (SLOTS, FASTEST): "ok",
        (WORK_OF["graphs"], "cuda"): "ok",
    }


def test_what_is_wrong_and_what_is_broken_is_named(monkeypatch):
    as_a_gpu(monkeypatch)

    def broken(*args, **options):
        raise RuntimeError("no kernel image is available\nfor this device")

    def unscaled(*args, **options):
        return varlen_plain.varlen_attn(*args, **{**options, "scale": 1.0})

    def forgets(state, *args, **options):
        return state_update(state.clone(), *args, **options)

    monkeypatch.setattr(varlen, "varlen_attn", unscaled)
    put(monkeypatch, "evalsuite.engine.native.kernels.log_sums", read_tokens=broken)
    put(monkeypatch, f"{SLOT_KERNELS}.state_update", state_update=forgets)
    checks = [*selftest("cpu", HYBRID, FLOAT32)]
    failed = {(one.part, one.path): one.verdict for one in checks if one.failed}
    assert failed == {
        (WORK_OF["attention"], "levels"): "WRONG",
        (PACKS, FASTEST): "WRONG",
        (WORK_OF["log_probs"], "kernels"): "ERROR: RuntimeError: no kernel image is available",
        (WORK_OF["steps"], "kernels"): "WRONG",
        (SLOTS, FASTEST): "WRONG",
        (WORK_OF["graphs"], "cuda"): "WRONG",
    }
    assert "6 failed" in selftest_summary(checks)
    assert "Failed: attention over packed trees: levels (hybrid (Mamba-2), float32); " in selftest_summary(
        checks
    )


def test_the_report_is_a_table_with_the_machine_above_it(hybrid):
    lines = [*selftest_report(machine_of("cpu"), hybrid)]
    assert [
        name
        for name in ("evalsuite", "device", "driver", "torch", "triton", "transformers", "Python.h")
        if not any(line.startswith(f"- {name}: ") for line in lines)
    ] == []
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + sum(not one.cannot_run for one in hybrid)
    assert len({line.count("|") for line in table}) == 1
    assert lines.count("- Mamba-2 over packed trees, kernels: only for GPUs") == 1
    assert lines[-1].startswith("4 of ")
    assert lines[-1].endswith(" cannot run here.")


def test_a_row_is_printed_before_the_next_check_runs(hybrid):
    ran = []

    def running():
        for check in hybrid:
            ran.append(check)
            yield check

    for line in selftest_report({}, running()):
        if line.startswith("| packs"):
            break
    assert len(ran) == 1


def test_an_error_is_shown_in_full_below_the_table(hybrid):
    try:
        raise RuntimeError("CUDA error: misaligned address\nSearch for it")
    except RuntimeError as error:
        failed = failed_row(hybrid[0], error)
    text = "\n".join(selftest_report({}, [failed]))
    assert "ERROR: RuntimeError: CUDA error: misaligned address |" in text
    assert "packs, plain, hybrid (Mamba-2), float32:\n\n```\nTraceback" in text
    assert "Search for it" in text


def test_a_model_that_cannot_be_made_is_a_row_and_the_other_kinds_go_on(monkeypatch):
    def missing():
        raise ImportError("no such class in this transformers")

    monkeypatch.setitem(MODEL_KINDS, "dense", missing)
    rows = [*selftest("cpu", ("dense", *HYBRID), FLOAT32)]
    assert rows[0].verdict == "ERROR: ImportError: no such class in this transformers"
    assert rows[0].model == "dense, torch.float32"
    assert {row.model for row in rows[1:]} == {"hybrid (Mamba-2), float32"}


@pytest.fixture
def quick(monkeypatch, hybrid):
    """The command with the rows of one model."""

    def use(rows=hybrid):
        monkeypatch.setattr(reporting, "isolated_selftest", lambda device: iter(rows))

    return use


def test_the_exit_code_is_1_if_a_path_that_runs_is_wrong(quick, hybrid, capsys):
    quick()
    assert doctor._selftest("cpu", as_json=False) == 0
    assert capsys.readouterr().out.endswith(f"{selftest_summary(hybrid)}\n")
    quick([*hybrid, replace(hybrid[0], failed=True)])
    assert doctor._selftest("cpu", as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert told["checks"][-1]["verdict"] == "WRONG"
    assert told["machine"]["torch"] == version("torch")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the self-test runs on the GPU")
def test_without_a_gpu_the_command_says_so():
    with pytest.raises(UserError, match="torch sees no GPU here"):
        doctor._selftest("cuda", as_json=False)


@pytest.mark.slow
def test_the_command_checks_every_model_in_every_data_type():
    checks = [*isolated_selftest("cpu")]
    assert not [one for one in checks if one.failed]
    assert len({one.model for one in checks}) == 8
