"""The same run again: read where nothing changed, computed anew where something did, continued where it was killed."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from runs import DOCUMENTS, MODEL, PLUGIN, Bench, ScriptedEngine, oracle, write_data

import evalsuite


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
    rows = [{"sentence": f"The {n}th _ is here.", "one": "ox", "two": "horse", "answer": n % 2} for n in range(DOCUMENTS)]  # fmt: skip
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
    rows = [{"sentence": f"The {n}th _ is here.", "one": "ox", "two": "horse", "answer": 0} for n in range(DOCUMENTS)]  # fmt: skip
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
