"""What the doctor finds, and what it says of each gap."""

import sys

import pytest

from evalsuite import doctor
from evalsuite.doctor import CheckState
from evalsuite.sandbox import SandboxFailed, tiers


def named(checks, name):
    return next(check for check in checks if check.name == name)


@pytest.fixture
def no_tier(monkeypatch):
    """A machine where no tier of the sandbox starts."""

    def refuse(name, folder):
        raise SandboxFailed(f"{name} is refused")

    monkeypatch.setattr(tiers, "maker", refuse)


def test_this_machine_has_python_and_its_packages():
    checks = list(doctor.software())
    assert [check.state for check in checks] == [CheckState.OK, CheckState.OK]


def test_a_missing_and_an_old_package_are_named(monkeypatch):
    needed = ["nothing-like-this>=1", "numpy>=99", "torch", "gguf>=99; extra == 'gguf'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: needed)
    packages = named(doctor.software(), "packages")
    assert packages.state is CheckState.BROKEN
    assert "nothing-like-this is not installed" in packages.found
    assert "numpy is " in packages.found
    assert "gguf" not in packages.found
    assert "pip install" in packages.advice


def test_each_tier_is_tried_with_hostile_programs():
    checks = list(doctor.sandbox())
    assert [check.name for check in checks] == list(tiers.NAMES)
    assert named(checks, "namespaces").state is CheckState.OK
    assert "12 hostile and honest programs" in named(checks, "namespaces").found


def test_without_any_safe_tier_something_needed_is_broken(no_tier):
    checks = list(doctor.sandbox())
    assert named(checks, "namespaces").state is CheckState.BROKEN
    assert "namespaces is refused" in named(checks, "namespaces").found
    assert "bubblewrap" in named(checks, "bubblewrap").advice
    assert named(checks, "rlimits").state is CheckState.ABSENT


def test_one_safe_tier_is_enough(monkeypatch):
    found = doctor.Check("sandbox", "", CheckState.OK, "")
    absent = doctor.Check("sandbox", "", CheckState.ABSENT, "")
    monkeypatch.setattr(doctor, "_tier", lambda name: found if name == "bubblewrap" else absent)
    assert CheckState.BROKEN not in {check.state for check in doctor.sandbox()}


def test_a_gpu_that_torch_cannot_use_is_broken(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/nvidia-smi")
    check = named(doctor.gpu(), "torch")
    assert check.state is CheckState.BROKEN
    assert "CUDA" in check.advice


def test_without_a_gpu_no_kernel_is_missed(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("pathlib.Path.exists", lambda path: False)
    assert {check.state for check in doctor.gpu()} <= {CheckState.OK, CheckState.ABSENT}


def test_no_package_with_kernels_is_required_on_a_gpu(monkeypatch):
    """Neither one that is missing nor one that does not load."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.0")
    for package in doctor.KERNELS:
        monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    broken = [check for check in doctor.gpu() if check.name in doctor.KERNELS]
    assert [check.state for check in broken] == [CheckState.ABSENT] * len(doctor.KERNELS)
    assert all("1.0: import of " in check.found for check in broken)
    assert "pip install triton" in named(broken, "triton").advice
    assert named(broken, "mamba-ssm").advice.startswith("Optional: ")


def test_a_package_that_is_not_installed_is_named():
    check = doctor._kernel("nothing-like-this", "Do without.")
    assert (check.state, check.found, check.advice) == (CheckState.ABSENT, "not installed", "Do without.")


def test_a_folder_of_data_sets_is_counted(tmp_path):
    (tmp_path / "openai" / "gsm8k").mkdir(parents=True)
    checks = list(doctor.data(tmp_path))
    assert named(checks, "folder").found == f"{tmp_path}: 1 data sets"
    assert "in the folder" in named(checks, "data sets of all tasks").found


def test_an_empty_or_missing_folder_of_data_is_broken(tmp_path):
    assert named(doctor.data(tmp_path), "folder").state is CheckState.BROKEN
    missing = named(doctor.data(tmp_path / "nowhere"), "folder")
    assert missing.state is CheckState.BROKEN
    assert "no such folder" in missing.found


def test_data_sets_that_no_source_has_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "_installed", lambda package: False)
    coverage = named(doctor.data(None), "data sets of all tasks")
    assert coverage.state is CheckState.BROKEN
    assert "openai/gsm8k" in coverage.advice


def test_the_hub_that_is_away_is_no_error():
    hub = named(doctor.data(None), "hub")
    assert hub.state is CheckState.ABSENT
    assert "HF_HUB_OFFLINE is set" in hub.found


def test_the_machine_is_measured():
    checks = list(doctor.machine())
    assert [check.name for check in checks] == ["processors", "memory", "disk"]
    free, total = doctor._memory()
    assert 0 < free < total


def test_little_memory_and_disk_come_with_advice(monkeypatch):
    monkeypatch.setattr(doctor, "_LITTLE_MEMORY", 1 << 60)
    monkeypatch.setattr(doctor, "_LITTLE_DISK", 1 << 60)
    assert [bool(check.advice) for check in doctor.machine()] == [False, True, True]
