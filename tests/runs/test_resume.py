"""The same run again: read where nothing changed, computed anew where something did, continued where it was
killed."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import evalsuite
from tests.runs.bench import DOCUMENTS, MODEL, PLUGIN, Bench, ScriptedEngine, oracle, write_data

DOCUMENTS_WHEN_KILLED = 100


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench.make(tmp_path)


def samples(bench: Bench, name: str) -> list[dict]:
    return pq.read_table(bench.out / "samples" / f"{name.replace(':', '.')}.parquet").to_pylist()


def test_a_finished_run_asks_nothing(bench):
    first = bench.execute(ScriptedEngine(), "quiz", "sums")
    engine = ScriptedEngine()
    before = {path: path.stat().st_mtime_ns for path in bench.out.rglob("*.*") if path.suffix != ""}
    assert bench.execute(engine, "quiz", "sums") == first
    assert engine.asked == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("left", ["", "-wal"])
def test_a_finished_run_whose_store_was_deleted_keeps_its_scores(bench, left):
    first = bench.execute(oracle([bench.prepared("quiz")]), "quiz")
    (bench.out / "responses.sqlite").unlink()
    if left:
        (bench.out / f"responses.sqlite{left}").write_bytes(b"of the store that is gone")
    engine = ScriptedEngine()
    assert bench.execute(engine, "quiz") == first
    assert engine.asked == []


def test_without_its_store_a_run_that_has_changed_is_computed_anew(bench):
    bench.execute(oracle([bench.prepared("quiz")]), "quiz")
    (bench.out / "responses.sqlite").unlink()
    (bench.out / "table.md").unlink()
    engine = oracle([bench.prepared("quiz")], wrong={0})
    log = bench.execute(engine, "quiz")
    assert len(engine.asked) == 3 * DOCUMENTS
    assert log.task("quiz").metrics["acc"].value == (DOCUMENTS - 1) / DOCUMENTS


def test_another_model_in_the_same_folder_is_asked_everything_anew(bench):
    bench.execute(oracle([bench.prepared("quiz")], range(99)), "quiz")
    other = oracle([bench.prepared("quiz")])
    other.identity = replace(MODEL, weights="2" * 64)
    log = bench.execute(other, "quiz")
    assert len(other.asked) == 3 * DOCUMENTS
    assert log.task("quiz").metrics["acc"].value == 1.0
    assert log.model.weights_sha256 == "2" * 64


def test_a_changed_row_is_asked_anew_and_the_others_are_not(bench):
    bench.execute(ScriptedEngine(), "pairs")
    rows = [
        {"sentence": f"The {n}th _ is here.", "one": "ox", "two": "horse", "answer": n % 2}
        for n in range(DOCUMENTS)
    ]
    rows[4]["one"] = "mule"
    write_data(bench.data).write("tiny/pairs", "default/test.parquet", rows)
    engine = oracle([bench.prepared("pairs")])
    bench.execute(engine, "pairs")
    asked = [engine.tokenizer.decode(one.context + one.continuation) for one in engine.asked]
    assert asked == ["The 4th mule is here."]
    assert samples(bench, "pairs")[4]["contexts"][0] == "The 4th mule"


def test_a_changed_answer_key_is_judged_anew_without_the_engine(bench):
    right = oracle([bench.prepared("pairs")])
    assert bench.execute(right, "pairs").task("pairs").metrics["acc"].value == 1.0
    rows = [
        {"sentence": f"The {n}th _ is here.", "one": "ox", "two": "horse", "answer": 0}
        for n in range(DOCUMENTS)
    ]
    write_data(bench.data).write("tiny/pairs", "default/test.parquet", rows)
    engine = ScriptedEngine()
    assert bench.execute(engine, "pairs").task("pairs").metrics["acc"].value == 0.5
    assert engine.asked == []


def test_a_plugin_that_reads_the_answer_otherwise_is_judged_anew_without_the_engine(bench):
    assert bench.execute(oracle([bench.prepared("pairs")]), "pairs").task("pairs").metrics["acc"].value == 1.0
    bench.plugin.write_text(
        PLUGIN.replace('after.strip(), row["answer"])', 'after.strip(), 1 - row["answer"])'), "utf-8"
    )
    engine = ScriptedEngine()
    assert bench.execute(engine, "pairs").task("pairs").metrics["acc"].value == 0.0
    assert engine.asked == []


def test_a_changed_template_is_asked_anew(bench):
    bench.execute(ScriptedEngine(), "quiz")
    bench.plugin.write_text(PLUGIN.replace('"Q: {{ stem }}', '"Question: {{ stem }}'), "utf-8")
    engine = ScriptedEngine()
    log = bench.execute(engine, "quiz")
    assert len(engine.asked) == 3 * DOCUMENTS
    assert samples(bench, "quiz")[0]["contexts"] == ["Question: 1 + 1?\nA:"]
    assert log == evalsuite.read_run(bench.out)


def test_a_changed_generation_setting_is_asked_anew(bench):
    bench.execute(ScriptedEngine(), "sums")
    bench.plugin.write_text(PLUGIN.replace("max_tokens=6", "max_tokens=7"), "utf-8")
    engine = ScriptedEngine()
    bench.execute(engine, "sums")
    assert [request.max_tokens for request in engine.asked] == [7] * DOCUMENTS


def test_tasks_that_ask_the_same_share_the_answers(bench):
    engine = ScriptedEngine()
    log = bench.execute(engine, "quiz", "quiz", "quiz:cloze")
    assert [task.name for task in log.tasks] == ["quiz"]
    assert len(engine.asked) == len(set(engine.asked)) == 3 * DOCUMENTS


class Launcher:
    """Starts runs one after another, each in a process that can be killed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.script = [sys.executable, str(Path(__file__).with_name("killed.py")), str(folder)]

    def said(self) -> str:
        return (
            (self.folder / "stderr.txt").read_text("utf-8") if (self.folder / "stderr.txt").exists() else ""
        )

    def computed(self) -> list[dict]:
        """A line for every block that some run computed, in order."""
        return [json.loads(line) for line in (self.folder / "computed.jsonl").read_text("utf-8").splitlines()]


class Forked(Launcher):
    """Forks of one process that has imported torch: a start costs nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = subprocess.Popen(self.script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, arguments: list[str]) -> int:
        self.server.stdin.write(json.dumps(arguments) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def wait(self) -> int:
        return int(self.server.stdout.readline())

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait()


class Fresh(Launcher):
    """A new process for each run, as a user starts it."""

    def start(self, arguments: list[str]) -> int:
        self.process = subprocess.Popen([*self.script, *arguments])
        return self.process.pid

    def wait(self) -> int:
        return self.process.wait()

    def close(self) -> None:
        pass


def stored(out: Path) -> dict[bytes, str]:
    """Answers in the store of a run, while the run may be working."""
    path = out / "responses.sqlite"
    if not path.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return dict(connection.execute("SELECT key, response FROM responses"))
    except sqlite3.OperationalError:  # not made yet
        return {}


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory) -> Path:
    """A random Llama large enough that a run over a few thousand tokens takes seconds."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.engine.tiny import VOCABULARY, save

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.1,
    )
    return save(LlamaForCausalLM(config), tmp_path_factory.mktemp("slow_model"))


def wait_until(happened: Callable[[], bool], launcher: Launcher) -> None:
    limit = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < limit, launcher.said()
        time.sleep(0.002)


def undecided(log: evalsuite.RunLog) -> dict:
    """The tasks of a log without what differs from session to session: its tokens and seconds."""
    return {task.name: task.model_dump(exclude={"tokens", "seconds"}) for task in log.tasks}


@pytest.mark.slow  # every day, a shard is killed and continued in test_merge
@pytest.mark.parametrize("kind", [Forked, Fresh])
def test_a_run_killed_ten_times_ends_as_if_it_had_never_been(tmp_path, slow_model, kind):
    """`kill -9`, each time resumed by the same command: equal to the last bit, nothing computed twice."""
    plugin = PLUGIN.replace("max_tokens=6", "max_tokens=24").replace('stop=("\\n",), ', "")
    bench = Bench.make(tmp_path, documents=DOCUMENTS_WHEN_KILLED, plugin=plugin)
    fixed = ["run", "--tasks", "quiz,quiz:letters,pairs,sums", "--model", str(slow_model), "--device", "cpu"]
    fixed += ["--data", str(bench.data), "--include", str(bench.plugin)]
    runs = kind(tmp_path / "log")
    runs.start([*fixed, "--out", str(tmp_path / "whole")])
    assert runs.wait() == 0, runs.said()
    whole = runs.computed()

    out, draw = tmp_path / "killed", random.Random(0)
    everything = len(stored(tmp_path / "whole"))
    scores = everything - DOCUMENTS_WHEN_KILLED
    for number in range(10):
        # Seven times while continuations are scored, three times while texts are generated.
        enough = len(stored(out)) + draw.randrange(scores // 12) if number < 7 else scores + 10 * (number - 7)
        pid = runs.start([*fixed, "--out", str(out)])
        wait_until(lambda enough=enough: len(stored(out)) >= enough, runs)
        time.sleep(draw.uniform(0, 0.2))
        os.kill(pid, signal.SIGKILL)
        assert runs.wait() == -signal.SIGKILL, runs.said()
    assert evalsuite.read_run(out).status == "running"
    assert scores < len(stored(out)) < everything
    said = len(runs.said())
    pid = runs.start([*fixed, "--out", str(out)])
    wait_until(lambda: "judging" in runs.said()[said:], runs)
    os.kill(pid, signal.SIGKILL)
    runs.wait()  # it may have been finished already
    runs.start([*fixed, "--out", str(out)])
    assert runs.wait() == 0, runs.said()
    runs.close()

    one, other = evalsuite.read_run(tmp_path / "whole"), evalsuite.read_run(out)
    assert other.status == "complete"
    assert undecided(other) == undecided(one)
    assert stored(out) == stored(tmp_path / "whole")
    for table in (tmp_path / "whole" / "samples").iterdir():
        assert pq.read_table(out / "samples" / table.name).equals(pq.read_table(table))
    only_the_batch_in_flight_is_computed_twice(whole, runs.computed()[len(whole) :])


def only_the_batch_in_flight_is_computed_twice(whole: list[dict], killed: list[dict]) -> None:
    """A block that another one followed in its session was stored, and no later session computed it again."""
    for kind in ("score", "generate"):
        once = [key for block in whole if block["kind"] == kind for key in block["keys"]]
        assert len(once) == len(set(once)), "an uninterrupted run computes nothing twice"
        assert {key for block in killed if block["kind"] == kind for key in block["keys"]} == set(once)
    sessions = [
        [block for block in killed if block["pid"] == pid] for pid in dict.fromkeys(b["pid"] for b in killed)
    ]
    seen: dict[str, set[str]] = {"score": set(), "generate": set()}
    for session in sessions:
        for kind, before in seen.items():
            assert before.isdisjoint(
                key for block in session if block["kind"] == kind for key in block["keys"]
            )
        for block in session[:-1]:
            seen[block["kind"]].update(block["keys"])
    assert len(sessions) > 5, "most sessions got far enough to compute something"


@pytest.mark.parametrize("damage", ["samples lost", "samples cut", "table lost"])
def test_the_same_command_mends_a_finished_run_without_asking_again(bench, damage):
    first = bench.execute(ScriptedEngine(), "quiz", "sums")
    table = (bench.out / "table.md").read_text("utf-8")
    [path, *_] = (bench.out / "samples").glob("quiz*.parquet")
    whole = pq.read_table(path)
    if damage == "table lost":
        (bench.out / "table.md").unlink()
    elif damage == "samples lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100])
    engine = ScriptedEngine()
    again = bench.execute(engine, "quiz", "sums")
    assert engine.asked == []
    assert [one.metrics for one in again.tasks] == [one.metrics for one in first.tasks]
    assert pq.read_table(path).equals(whole)
    assert table.splitlines()[0] in (bench.out / "table.md").read_text("utf-8")
