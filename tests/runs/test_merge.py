"""Shards that are merged are one run: the same scores, samples and answers, whatever happened to a shard."""

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import evalsuite
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.model import NativeModel
from evalsuite.errors import StorageError
from evalsuite.registry.registry import Registry
from evalsuite.results.store import ResponseStore
from evalsuite.runs.merge import merge
from tests.runs.bench import ADDRESSES, PLUGIN, Bench, read_json
from tests.runs.test_resume import Forked, slow_model, stored, undecided, wait_until  # noqa: F401 - a fixture

MERGED = "Merged from 3 shards."


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench.make(tmp_path_factory.mktemp("merging"), documents=8)


def run(bench: Bench, model, out, **options) -> evalsuite.RunLog:
    asked = {"tasks": ADDRESSES, "device": "cpu"} | options
    return evalsuite.run(model=str(model), data=bench.data, include=[bench.plugin], out=out, **asked)


def merged(bench: Bench, folders, out, **options) -> evalsuite.RunLog:
    log, folder = merge(folders, out, Registry.load([bench.plugin]), data_dir=bench.data, **options)
    assert folder == out
    return log


def assert_same_run(one: Path, other: Path) -> None:
    logs = [evalsuite.read_run(folder) for folder in (one, other)]
    assert undecided(logs[0]) == undecided(logs[1])
    for name in ("status", "spec", "inputs_sha256", "model", "best_forms", "averages", "shard"):
        assert getattr(logs[0], name) == getattr(logs[1], name)
    assert stored(one) == stored(other)
    tables = sorted(path.name for path in (one / "samples").iterdir())
    assert tables == sorted(path.name for path in (other / "samples").iterdir())
    for name in tables:
        assert pq.read_table(one / "samples" / name).equals(pq.read_table(other / "samples" / name))


@pytest.fixture(scope="module")
def small_passes():
    """So that there are many parts to share out; every run here is made with it."""
    with pytest.MonkeyPatch.context() as patch:
        made = TransformersEngine.__init__
        patch.setattr(
            TransformersEngine,
            "__init__",
            lambda self, files, **options: made(self, files, token_budget=60, **options),
        )
        yield


@pytest.fixture(scope="module")
def whole(bench, model, tmp_path_factory, small_passes) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    assert run(bench, model, out).status == "complete"
    return out


@pytest.fixture(scope="module")
def shards(bench, model, tmp_path_factory, small_passes) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    folders = [folder / f"s{index}" for index in range(3)]
    for index, out in enumerate(folders):
        run(bench, model, out, shard=f"{index}/3")
    return folders


@pytest.fixture
def copies(shards, tmp_path) -> list[Path]:
    """To be spoiled."""
    return [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in shards]


def test_merged_shards_are_the_run_and_no_weights_are_loaded(bench, shards, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(NativeModel, "loaded", property(lambda self: pytest.fail("weights loaded")))
    assert all(evalsuite.read_run(folder).shard.requests > 5 for folder in shards)
    log = merged(bench, reversed(shards), tmp_path / "run")
    assert_same_run(whole, tmp_path / "run")
    assert log.notes == (*evalsuite.read_run(whole).notes, MERGED)
    costs = [evalsuite.read_run(folder).shard.costs for folder in shards]
    for task in log.tasks:
        assert task.tokens == round(sum(one[task.name][0] for one in costs)) > 0
        assert task.seconds == pytest.approx(sum(one[task.name][1] for one in costs), abs=5e-4)
    assert MERGED in (tmp_path / "run" / "table.md").read_text("utf-8")


def test_no_request_is_answered_by_two_shards(shards, whole):
    answered = [set(stored(folder)) for folder in shards]
    assert sum(map(len, answered)) == len(set.union(*answered)) == len(stored(whole))


def test_what_was_merged_continues_as_a_run_and_merges_again(bench, model, shards, tmp_path):
    log = merged(bench, shards, tmp_path / "run")
    assert merged(bench, shards, tmp_path / "run") == log
    assert run(bench, model, tmp_path / "run") == log


def test_a_shard_that_is_killed_and_resumed_changes_nothing(tmp_path, slow_model):  # noqa: F811
    plugin = PLUGIN.replace("max_tokens=6", "max_tokens=24").replace('stop=("\\n",), ', "")
    bench = Bench.make(tmp_path, documents=40, plugin=plugin)
    fixed = ["run", "--tasks", ",".join(ADDRESSES), "--model", str(slow_model), "--device", "cpu"]
    fixed += ["--data", str(bench.data), "--include", str(bench.plugin)]
    runs = Forked(tmp_path / "log")

    def finish(*arguments: str) -> None:
        runs.start([*fixed, *arguments])
        assert runs.wait() == 0, runs.said()

    finish("--out", str(tmp_path / "whole"))
    folders = [tmp_path / f"s{index}" for index in range(3)]
    pid = runs.start([*fixed, "--shard", "0/3", "--out", str(folders[0])])
    wait_until(lambda: len(stored(folders[0])) > 10, runs)
    os.kill(pid, signal.SIGKILL)
    assert runs.wait() == -signal.SIGKILL, runs.said()
    for index, folder in enumerate(folders[1:], 1):
        finish("--shard", f"{index}/3", "--out", str(folder))
    with pytest.raises(
        StorageError, match=r"Shard 0/3 \(.*s0\) has not finished; finish it with the same command"
    ):
        merged(bench, folders, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    finish("--shard", "0/3", "--out", str(folders[0]))
    runs.close()
    merged(bench, folders, tmp_path / "merged")
    assert_same_run(tmp_path / "whole", tmp_path / "merged")


def test_a_missing_shard_is_named_and_nothing_is_written(bench, shards, tmp_path):
    for given, missing in ((shards[:1], "1/3, 2/3"), ([shards[0], shards[2]], "1/3")):
        with pytest.raises(StorageError, match=f"Shard {missing} is missing; the other shards are kept"):
            merged(bench, given, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_same_shard_twice_is_refused(bench, shards, copies, tmp_path):
    with pytest.raises(StorageError, match=r"Shard 1/3 is given twice\.$"):
        merged(bench, [*shards, shards[1]], tmp_path / "run")
    with pytest.raises(StorageError, match=r"Shard 1/3 is given twice: .* and .*s1"):
        merged(bench, [*shards, copies[1]], tmp_path / "run")


def test_a_whole_run_or_no_run_is_not_merged(bench, shards, whole, tmp_path):
    with pytest.raises(StorageError, match="holds a whole run, not a shard"):
        merged(bench, [*shards[:2], whole], tmp_path / "run")
    with pytest.raises(StorageError, match=r"nowhere.* cannot be read"):
        merged(bench, [*shards[:2], tmp_path / "nowhere"], tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit": 3}, "limit is 3 in the first, None in the second"),
        ({"seed": 1}, "seed is 1 in the first, 0 in the second"),
        ({"tasks": ["pairs"]}, "tasks is tiny/pairs"),
        ({"shard": "0/2"}, "the first is one of 2 shards, the second one of 3"),
        ({"dtype": "bfloat16"}, "dtype is bfloat16 in the first, auto in the second"),
    ],
)
def test_shards_of_different_runs_are_told_apart(options, said, bench, model, shards, tmp_path):
    run(bench, model, tmp_path / "other", **{"shard": "0/3"} | options)
    with pytest.raises(StorageError, match=f"are not shards of one run: .*{said}"):
        merged(bench, [tmp_path / "other", *shards[1:]], tmp_path / "run")


def test_shards_of_other_data_or_versions_are_told_apart(bench, model, shards, copies, tmp_path):
    other = Bench.make(tmp_path, documents=9)
    run(other, model, tmp_path / "other", shard="0/3")
    with pytest.raises(StorageError, match="their data, prompts or task files differ"):
        merged(bench, [tmp_path / "other", *shards[1:]], tmp_path / "run")
    with pytest.raises(StorageError, match="differ from those of the shards"):
        merged(other, shards, tmp_path / "run")
    text = (copies[2] / "run.json").read_text("utf-8")
    version = read_json(copies[2] / "run.json")["evalsuite_version"]
    (copies[2] / "run.json").write_text(text.replace(f'"{version}"', '"0.0.1"'), "utf-8")
    with pytest.raises(StorageError, match=f"evalsuite {version} wrote the first, 0.0.1 the second"):
        merged(bench, copies, tmp_path / "run")


def test_a_tokenizer_that_changed_since_is_found_before_anything_is_written(bench, model, tmp_path):
    moved = Path(shutil.copytree(model, tmp_path / "model"))
    run(bench, moved, tmp_path / "s0", shard="0/1", tasks=["pairs"])
    (moved / "tokenizer_config.json").write_text("{}", "utf-8")
    with pytest.raises(StorageError, match="differs from the one that the shards used"):
        merged(bench, [tmp_path / "s0"], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def spoil(folder: Path, key: bytes, response: str) -> None:
    with closing(sqlite3.connect(folder / "responses.sqlite")) as connection, connection:
        connection.execute("INSERT OR REPLACE INTO responses VALUES (?, ?)", (key, response))


def test_shards_that_answer_one_request_differently_are_refused_with_the_count(bench, copies, tmp_path):
    taken = list(stored(copies[0]).items())[:4]
    for key, _ in taken[:3]:
        spoil(copies[2], key, '{"log_probs": [-9.0], "is_greedy": false}')
    spoil(copies[2], *taken[3])
    with pytest.raises(
        StorageError, match=r"s2/responses.sqlite and the other stores differ in 3 of their 4 common answers"
    ):
        merged(bench, copies, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_equal_answers_in_two_shards_are_no_harm(bench, copies, whole, tmp_path):
    for key, response in stored(copies[0]).items():
        spoil(copies[1], key, response)
    merged(bench, copies, tmp_path / "run")
    assert_same_run(whole, tmp_path / "run")


def test_a_store_that_is_missing_damaged_or_another_one_is_named(bench, copies, tmp_path):
    store = copies[1] / "responses.sqlite"
    kept = store.read_bytes()
    store.unlink()
    with pytest.raises(StorageError, match=r"s1/responses.sqlite is missing"):
        merged(bench, copies, tmp_path / "run")
    assert not store.exists()
    store.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    with pytest.raises(StorageError, match=r"s1/responses.sqlite is damaged"):
        merged(bench, copies, tmp_path / "run")
    store.unlink()
    ResponseStore(store).close()
    with pytest.raises(
        StorageError, match=r"of \d+ requests have no answer although all shards are finished"
    ):
        merged(bench, copies, tmp_path / "run")
    assert not (tmp_path / "run").exists()  # as docs/shards.md says: a merge that refuses writes nothing
    store.write_bytes(kept)
    assert merged(bench, copies, tmp_path / "run").status == "complete"


@pytest.mark.usefixtures("quick_collections")
def test_failures_of_a_shard_are_failures_of_the_run(bench, model, tmp_path, monkeypatch):
    """Out of memory, always, where a text is generated: its documents are counted, not scored."""
    from evalsuite.engine.native.slots import generate as slots

    def full(self, *_):
        raise MemoryError("full")

    monkeypatch.setattr(slots._Generation, "run", full)
    whole = run(bench, model, tmp_path / "whole", tasks=["pairs", "sums"])
    logs = [run(bench, model, tmp_path / f"s{n}", tasks=["pairs", "sums"], shard=f"{n}/2") for n in range(2)]
    assert sorted(log.status for log in logs) == ["incomplete", "shard"]
    log = merged(bench, [tmp_path / "s0", tmp_path / "s1"], tmp_path / "merged")
    assert log.status == "incomplete"
    assert log.task("sums").counts.failed == 8
    assert_same_run(tmp_path / "whole", tmp_path / "merged")
    allowed = merged(bench, [tmp_path / "s0", tmp_path / "s1"], tmp_path / "allowed", allow_failures=True)
    assert undecided(allowed) == undecided(
        run(bench, model, tmp_path / "whole", tasks=["pairs", "sums"], allow_failures=True)
    )
    assert whole.task("sums").problem
    monkeypatch.undo()
    again = run(
        bench,
        model,
        tmp_path / f"s{[log.status for log in logs].index('incomplete')}",
        tasks=["pairs", "sums"],
        shard=logs[[log.status for log in logs].index("incomplete")].shard.name,
    )
    assert again.status == "shard"
    assert merged(bench, [tmp_path / "s0", tmp_path / "s1"], tmp_path / "merged").status == "complete"
