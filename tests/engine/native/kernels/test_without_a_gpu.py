"""Runs the kernels' tests where there is no GPU, with Triton brought into a folder of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

TRITONS = ["triton==3.6.0", "triton==3.9.0"]
"""The lowest, which torch 2.11 requires, and the newest, of torch 2.15.

Between them are 3.7.0 (torch 2.12.0), 3.7.1 (torch 2.12.1 and 2.13) and 3.8 (torch 2.14).
"""

HERE = Path(__file__).parent


@pytest.fixture(scope="module", params=TRITONS)
def triton_folder(request, tmp_path_factory) -> Iterator[Path]:
    """A folder with Triton alone: up to 290 MB to fetch, and 1 GB on the disk until its tests are over."""
    folder = tmp_path_factory.mktemp("triton")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder),
        request.param,
    ]
    if subprocess.run(command).returncode:
        pytest.skip(f"{request.param} could not be fetched")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the kernels' tests run on the GPU")
@pytest.mark.parametrize(
    "tests",
    [
        ["test_conv.py", "test_log_sums.py", "test_merge.py"],
        ["test_scan.py"],
        ["test_models.py"],
        ["test_pointwise.py", "test_differences.py", "test_launches.py"],
        ["test_decode_updates.py", "test_decode_models.py"],
        ["test_prompt_scan.py"],
        ["test_flex_kernel.py"],
        ["test_compile.py", "test_compile_flex.py"],
    ],
    ids=lambda tests: tests[0],
)
def test_the_kernels_pass(tests, triton_folder):
    interpreted = "0" if tests[0] == "test_compile.py" else "1"
    environment = os.environ | {
        "PYTHONPATH": str(triton_folder),
        "TRITON_INTERPRET": interpreted,
        "TRITON_CACHE_DIR": str(triton_folder / "cache"),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *(str(HERE / one) for one in tests),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    summary = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr
    assert done.returncode == 0, done.stdout[-6000:]
    assert "passed" in summary
    assert "skipped" not in summary
