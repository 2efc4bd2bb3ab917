"""The self-test's run, and its report: the machine, and a table that can be pasted into an issue."""

import os
import platform
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from itertools import product
from pathlib import Path

import torch

from evalsuite.engine.native.selftest.checks import (
    BRANCHES,
    DECODE_STEPS,
    LIMITS,
    REPEATS,
    SHARED,
    PathCheck,
    PlannedChecks,
    checks_of,
    failed_row,
    known_check,
)
from evalsuite.engine.native.selftest.isolated import isolated
from evalsuite.engine.native.selftest.models import MODEL_KINDS, tiny_model
from evalsuite.engine.placement import device_name

PACKAGES = ("torch", "triton", "transformers", "mamba-ssm", "causal-conv1d")
LEGEND = (
    "difference: largest difference of logits from float64 on the CPU, as a share of the largest logit. "
    "first s: seconds of the first call, which compiles kernels. "
    f"ms: the fastest of {REPEATS} further calls; a pack has {SHARED + sum(BRANCHES)} tokens, slots take two "
    f"prompts and {DECODE_STEPS} decode steps."
)
HEADINGS = ("part", "path", "model", "difference", "limit", "first s", "ms", "verdict")
WIDTHS = (44, 20, 28, 10, 5, 7, 8)
"""Columns of the table, which is printed row by row."""


def selftest(
    device: str, kinds: Sequence[str] = tuple(MODEL_KINDS), dtypes: Sequence[torch.dtype] = tuple(LIMITS)
) -> Iterator[PathCheck]:
    """Check every path of tiny models in each data type; yields a row as soon as it is known.

    Args:
        device: a resolved device.
        kinds: which kinds of models, by their names in `models.MODEL_KINDS`.
        dtypes: data types with a limit in `checks.LIMITS`.
    """
    return (planned.run() for planned in planned_selftest(device, kinds, dtypes))


def isolated_selftest(device: str) -> Iterator[PathCheck]:
    """As `selftest`, in other processes, so that a check that ends its process costs one row."""
    return isolated(planned_selftest, (device, tuple(MODEL_KINDS), tuple(LIMITS)))


def planned_selftest(device: str, kinds: Sequence[str], dtypes: Sequence[torch.dtype]) -> PlannedChecks:
    """The checks of `selftest`."""
    for dtype, kind in product(dtypes, kinds):
        try:
            tiny = tiny_model(device, dtype, kind)
        except Exception as error:  # Boundary: drivers and modelling code raise errors of every kind.
            yield known_check(failed_row(PathCheck("the model", "", f"{kind}, {dtype}"), error))
            continue
        yield from checks_of(tiny)


def machine_of(device: str) -> dict[str, str]:
    """What the results depend on: device, driver, and versions."""
    found = {"evalsuite": metadata.version("evalsuite"), "device": f"{device} ({_name(device)})"}
    if device.startswith("cuda"):
        major, minor = torch.cuda.get_device_capability(device)
        found["compute capability"] = f"{major}.{minor}"
    found |= {"driver": _driver() or "none", "CUDA of torch": torch.version.cuda or "none"}
    found |= {package: _version(package) for package in PACKAGES}
    found |= {"C compiler": _compiler() or "none", "Python.h": "found" if _has_headers() else "missing"}
    return found | {"python": platform.python_version(), "system": platform.platform()}


def selftest_report(machine: Mapping[str, str], checks: Iterable[PathCheck]) -> Iterator[str]:
    """Lines of Markdown: the machine, a row for each path that ran, errors in full, and what cannot run.

    A row is yielded as soon as `checks` yields it.
    """
    yield from (f"- {name}: {value}" for name, value in machine.items())
    yield from ("", _row(HEADINGS), _row(["-" * width for width in WIDTHS] + ["---"]))
    known = []
    for check in checks:
        known.append(check)
        if not check.cannot_run:
            yield _row(_cells(check))
    yield from ("", LEGEND)
    for check in known:
        if check.details:
            yield from ("", f"{', '.join(filter(None, check.name))}:", "", "```", check.details, "```")
    others = {f"- {one.part}, {one.path}: {one.problem}": None for one in known if one.cannot_run}
    yield from ("", "Cannot run here:", "", *others) if others else ()
    yield from ("", selftest_summary(known))


def selftest_summary(checks: Sequence[PathCheck]) -> str:
    """One sentence on all rows."""
    failed = [check for check in checks if check.failed]
    ran = sum(check.difference is not None for check in checks)
    others = sum(check.cannot_run for check in checks)
    text = f"{ran} of {len(checks)} checks ran, {len(failed)} failed; {others} cannot run here."
    if failed:
        names = "; ".join(dict.fromkeys(f"{one.part}: {one.path} ({one.model})" for one in failed))
        return f"{text} Failed: {names}."
    return text


def _row(cells: Sequence[str]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=False)]
    return f"| {' | '.join([*padded, cells[-1]])} |"


def _cells(check: PathCheck) -> tuple[str, ...]:
    difference, milliseconds = check.difference, check.milliseconds
    return (
        check.part,
        check.path,
        check.model,
        "" if difference is None else f"{difference:.1e}",
        f"{check.limit:.0e}" if check.limit else "",
        "" if check.first_seconds is None else f"{check.first_seconds:.2f}",
        "" if milliseconds is None else f"{milliseconds:.2f}",
        check.verdict.replace("|", "/"),
    )


def _name(device: str) -> str:
    if name := device_name(device):
        return name
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _driver() -> str:
    """Version of NVIDIA's driver; empty without one."""
    path = Path("/proc/driver/nvidia/version")
    if path.is_file():
        found = re.search(r"\b\d+\.\d+(\.\d+)?\b", path.read_text())
        return found[0] if found else ""
    if shutil.which("nvidia-smi") is None:
        return ""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True)
    return next(iter(done.stdout.splitlines()), "")


def _compiler() -> str:
    """The C compiler by which Triton builds its launcher; empty if there is none."""
    names = (os.environ.get("CC"), "gcc", "clang", "cc")
    return next(filter(None, (shutil.which(name) for name in names if name)), "")


def _has_headers() -> bool:
    """Whether this Python's headers are installed, which Triton's launcher includes."""
    return Path(sysconfig.get_path("include"), "Python.h").is_file()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
