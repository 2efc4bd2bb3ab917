"""What a stranger looks for: where things are, the licence, and one version."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import evalsuite

ROOT = Path(__file__).parents[1]


def test_the_six_places_of_the_contributing_guide_exist():
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| ([^|]+\?) \| (.+) \|$", guide, re.MULTILINE))
    paths = [re.fullmatch(r"`([\w./]+)`", path) for path in rows.values()]
    assert len(rows) == 6
    assert all(path and (ROOT / path[1]).exists() for path in paths), rows


def test_every_path_that_the_contributing_guide_names_exists():
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    paths = re.findall(r"`((?:evalsuite|tests|tasks|prompts|results|docs|benchmarks)/[\w./-]*)`", guide)
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_licence_is_installed_with_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "limitations under the License." in text


def test_the_version_stands_in_one_place():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    for path in ("CITATION.cff", "evalsuite/__init__.py", "mkdocs.yml"):
        assert version not in (ROOT / path).read_text("utf-8"), path
    assert evalsuite.__version__


def test_ci_runs_targets_that_exist_on_every_python_that_the_package_claims():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    rules = re.findall(r"^([\w -]+):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    assert set(re.findall(r"run: make ([\w-]+)", workflow)) <= targets
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    claimed = re.findall(r"Python :: (3\.\d+)", " ".join(classifiers))
    [matrix] = re.findall(r"python: \[(.+)\]", workflow)
    assert re.findall(r"3\.\d+", matrix) == claimed


def test_the_changelog_keeps_the_form_of_keep_a_changelog():
    headings = re.findall(r"^(##+) (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == ("##", "[Unreleased]")
    for level, text in headings:
        if level == "##":
            assert re.fullmatch(r"\[Unreleased\]|\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", text), text
        else:
            assert text in {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_every_issue_template_asks_for_the_expected_number_and_its_source():
    templates = [
        path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"
    ]
    assert templates
    for path in templates:
        assert "hich number did you expect, from where?" in path.read_text("utf-8"), path.name


@pytest.mark.parametrize("script", ["perturbed.py", "reference.py"])
def test_a_benchmark_shows_its_help(script):
    path = ROOT / "benchmarks" / script
    done = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {script}")
