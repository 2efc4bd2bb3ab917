"""Packages beside the environment are found in exactly the version asked for, or named with their command."""

from importlib import metadata
from pathlib import Path

import pytest

from evalsuite.errors import UserError
from evalsuite.files.side_packages import import_path, side_package

PURPOSE = "The shots come from"


@pytest.fixture
def packages(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EVALSUITE_PACKAGES", str(tmp_path))
    return tmp_path


def install(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")


def test_a_package_is_found_in_the_folder_of_its_name_and_version(packages):
    install(packages / "acme-2.0", "acme", "2.0")
    assert side_package("acme", "2.0", PURPOSE).version == "2.0"
    assert import_path("acme", "2.0", PURPOSE) == (str((packages / "acme-2.0").resolve()),)


def test_the_environments_own_package_is_taken_if_its_version_is_the_one(packages):
    own = metadata.version("numpy")
    assert side_package("numpy", own, PURPOSE).version == own
    assert import_path("numpy", own, PURPOSE) == ()
    with pytest.raises(UserError):
        side_package("numpy", "0.1", PURPOSE)


@pytest.mark.parametrize("there", ["nothing", "another version"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(packages, there):
    if there == "another version":
        install(packages / "math-verify-0.9.0", "math-verify", "0.8.0")
    with pytest.raises(UserError) as error:
        side_package("math-verify", "0.9.0", PURPOSE)
    assert str(error.value) == (
        "The shots come from math-verify 0.9.0, which cannot be installed beside evalsuite's own packages: "
        f"pip install --no-deps --target {packages}/math-verify-0.9.0 math-verify==0.9.0 "
        "latex2sympy2_extended==1.11.0"
    )


def test_without_any_folder_for_caches_the_variable_is_named(monkeypatch):
    for name in ("EVALSUITE_PACKAGES", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "nowhere")
    with pytest.raises(UserError, match="set EVALSUITE_PACKAGES to one"):
        side_package("acme", "2.0", PURPOSE)
