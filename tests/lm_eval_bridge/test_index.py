"""The scan of names, against lm-eval's own index."""

import logging

import pytest

from evalsuite.lm_eval_bridge import index
from tests.golden.golden import needs_package

pytestmark = needs_package("lm-eval")

FILES = {
    "a.yaml": "task: a\ninclude: _shared\n",
    "b.yaml": '"task": "b"\ntag:\n  - other\ninclude: _shared  # a remark\n',
    "c/c.yaml": "include: ../_shared\ntask: c\ntag: [one, two]\ndoc_to_text: |\n  task: no\n",
    "_shared": "tag: shared\ndataset_path: json\n",
    "group.yaml": "group: g\ntask:\n  - a\n  - task: b\n    num_fewshot: 1\n",
    "python.yaml": "class: !function code.Task\ngroup: ignored\ntask: p\n",
    "z.yaml": "task: a\ntag: late\n",
    "notes.yaml": "just: notes\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_tasks_groups_and_tags_are_found_with_what_they_include(folder):
    found = index.scan(folder)
    kinds = {name: entry.kind for name, entry in found.items()}
    assert {name for name in kinds if kinds[name] == "task"} == {"a", "b", "c", "p"}
    assert {name for name in kinds if kinds[name] == "group"} == {"g"}
    tags = {name: entry.members for name, entry in found.items() if entry.kind == "tag"}
    assert tags == {"shared": ("a",), "other": ("b",), "one": ("c",), "two": ("c",)}
    assert found["a"].path == str(folder / "a.yaml")


def test_what_was_found_is_remembered_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = index.names()
    [file] = (tmp_path / "evalsuite").iterdir()
    monkeypatch.setattr(index, "scan", lambda path: pytest.fail("scanned again"))
    again = index.names()
    assert len(first) > 10_000
    assert {name: tuple(one.members) for name, one in again.items()} == {
        name: one.members for name, one in first.items()
    }
    file.write_text("{")
    monkeypatch.setattr(index, "scan", lambda path: {"new": index.Entry("task", "new.yaml")})
    assert set(index.names()) == {"new"}


def test_definitions_of_a_user_come_on_top(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "_remembered", lambda folder: {"a": index.Entry("task", "theirs.yaml")})
    assert index.names([folder])["a"].path == str(folder / "a.yaml")
    assert index.is_definition(folder)
    assert not index.is_definition(folder / "notes.yaml")


@pytest.mark.slow
def test_the_scan_finds_what_lm_eval_finds(monkeypatch, tmp_path):
    from lm_eval.tasks._index import TaskIndex

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    theirs = {
        name: (
            "task" if one.kind.name == "PY_TASK" else one.kind.name.lower(),
            str(one.yaml_path or ""),
            one.tags,
        )
        for name, one in TaskIndex.build([index.tasks_folder()]).items()
    }
    ours = index.scan(index.tasks_folder())
    assert set(ours) == set(theirs)
    for name, one in ours.items():
        kind, path, tags = theirs[name]
        assert (one.kind, one.path) == (kind, path)
        if kind == "tag":
            assert set(one.members) == tags
