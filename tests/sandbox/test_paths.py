"""Libraries are readable wherever an installer has put them."""

import importlib
import subprocess
import sys

import pytest

from evalsuite.sandbox import SandboxUnavailable, open_sandbox, paths

LINKED = """
import sys
sys.path.insert(0, {site!r})
from evalsuite.sandbox import Program, open_sandbox
with open_sandbox(1) as sandbox:
    program = Program("import sortedcontainers", "assert sortedcontainers.answer == 42")
    print(sandbox.run([program])[0].outcome)
"""


def test_a_library_that_is_a_symbolic_link_is_readable(tmp_path):
    """As Nix and Bazel install packages: the folder is a link to another place."""
    store, site = tmp_path / "store/sortedcontainers-2", tmp_path / "site"
    store.mkdir(parents=True)
    (store / "__init__.py").write_text("answer = 42")
    site.mkdir()
    (site / "sortedcontainers").symlink_to(store)
    done = subprocess.run(
        [sys.executable, "-c", LINKED.format(site=str(site))], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "passed"


def test_a_library_whose_files_are_symbolic_links_is_readable(tmp_path):
    """As uv installs packages with --link-mode symlink: folders are real, each file is a link."""
    store, site = tmp_path / "store/archive/sortedcontainers", tmp_path / "site/sortedcontainers"
    (store / "inner").mkdir(parents=True)
    (site / "inner").mkdir(parents=True)
    for name, text in (("__init__.py", "from .inner import answer"), ("inner/__init__.py", "answer = 42")):
        (store / name).write_text(text)
        (site / name).symlink_to(store / name)
    done = subprocess.run(
        [sys.executable, "-c", LINKED.format(site=str(site.parent))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "passed"


def test_a_library_that_programs_cannot_read_is_no_programs_fault(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(paths, "_installed", lambda name: [])
        hidden = paths.readable()
    monkeypatch.setattr(paths, "readable", lambda: hidden)
    with pytest.raises(SandboxUnavailable, match=r"cannot read libraries .*\(numpy, "), open_sandbox(1):
        pass


def test_only_the_folder_that_python_searches_is_a_site(monkeypatch, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/__init__.py").touch()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sortedcontainers").symlink_to(tmp_path / "store")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "sortedcontainers", raising=False)  # hypothesis imports it
    importlib.invalidate_caches()
    found = paths.readable()
    assert {str(tmp_path / "store"), str(tmp_path / "site/sortedcontainers")} <= set(found.shown)
    assert str(tmp_path / "site") in found.sites
    assert str(tmp_path) not in found.sites
