"""The self-test's run, and its report: the machine, and a table that can be pasted into an issue."""

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import torch

from evalsuite.engine.native.selftest.checks import (
    BRANCHES,
    DECODE_STEPS,
    LIMITS,
    REPEATS,
    SHARED,
    PathCheck,
    checks_of,
)
from evalsuite.engine.native.selftest.models import MODEL_KINDS, tiny_models
from evalsuite.engine.placement import device_name

PACKAGES = ("torch", "triton", "transformers", "mamba-ssm", "causal-conv1d")
LEGEND = (
    "difference: largest difference of logits from float64 on the CPU, as a share of the largest logit. "
    f"ms: fastest of {REPEATS} calls; a pack has {SHARED + sum(BRANCHES)} tokens, slots take two prompts "
    f"and {DECODE_STEPS} decode steps."
)
HEADINGS = ("part", "path", "model", "difference", "limit", "ms", "verdict")


def selftest(
    device: str, kinds: Sequence[str] = tuple(MODEL_KINDS), dtypes: Sequence[torch.dtype] = tuple(LIMITS)
) -> Iterator[PathCheck]:
    """Check every path of tiny models in each data type; yields a row as soon as it is known.

    Args:
        device: a resolved device.
        kinds: which kinds of models, by their names in `models.MODEL_KINDS`.
        dtypes: data types with a limit in `checks.LIMITS`.
    """
    for dtype in dtypes:
        for tiny in tiny_models(device, dtype, kinds):
            yield from checks_of(tiny)


def machine_of(device: str) -> dict[str, str]:
    """What the results depend on: device, driver, and versions."""
    found = {"evalsuite": metadata.version("evalsuite"), "device": f"{device} ({_name(device)})"}
    if device.startswith("cuda"):
        major, minor = torch.cuda.get_device_capability(device)
        found["compute capability"] = f"{major}.{minor}"
    found |= {"driver": _driver() or "none", "CUDA of torch": torch.version.cuda or "none"}
    found |= {package: _version(package) for package in PACKAGES}
    return found | {"python": platform.python_version(), "system": platform.platform()}


def selftest_report(machine: Mapping[str, str], checks: Sequence[PathCheck]) -> str:
    """The machine, a row for each path that ran, and why the others did not, in Markdown."""
    about = [f"- {name}: {value}" for name, value in machine.items()]
    table = _table([check for check in checks if not check.cannot_run])
    others = {f"- {one.part}, {one.path}: {one.problem}": None for one in checks if one.cannot_run}
    unused = ["", "Cannot run here:", "", *others] if others else []
    return "\n".join((*about, "", *table, "", LEGEND, *unused, "", selftest_summary(checks)))


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


def _table(checks: Sequence[PathCheck]) -> Iterator[str]:
    rows = [HEADINGS, *map(_cells, checks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS) - 1)]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        yield f"| {' | '.join(cells)} | {row[-1]} |"
        if not number:
            yield f"|{'|'.join('-' * (width + 2) for width in widths)}|---|"


def _cells(check: PathCheck) -> tuple[str, ...]:
    difference, milliseconds = check.difference, check.milliseconds
    return (
        check.part,
        check.path,
        check.model,
        "" if difference is None else f"{difference:.1e}",
        f"{check.limit:.0e}" if check.limit else "",
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


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
