"""A finished run is scored again from its folder; no model, and no verdict on another question."""

import subprocess
import sys

import pytest

from evalsuite.errors import UserError
from evalsuite.registry.registry import Registry
from evalsuite.results.read import open_run
from evalsuite.results.samples import read_samples
from evalsuite.runs.rescore import rescore
from evalsuite.types import Failure
from tests.runs.bench import PLUGIN, Bench, ScriptedEngine, oracle, read_json

TASKS = ("quiz", "quiz:letters", "pairs", "sums")


@pytest.fixture
def bench(tmp_path) -> Bench:
    bench = Bench.make(tmp_path, documents=6)
    bench.execute(oracle([bench.prepared(one) for one in TASKS], wrong={1, 4}))
    return bench


def again(bench: Bench, name: str = "again", **settings):
    out = bench.folder / name
    log, changes = rescore(bench.out, out, Registry.load([bench.plugin]), data_dir=bench.data, **settings)
    return log, {change.after.name: change for change in changes}, out


def test_the_same_scorers_give_the_same_run(bench):
    log, changes, out = again(bench)
    before = open_run(bench.out).log
    assert [task.metrics for task in log.tasks] == [task.metrics for task in before.tasks]
    assert [task.counts for task in log.tasks] == [task.counts for task in before.tasks]
    assert not any(change.documents for change in changes.values())
    assert (log.status, log.inputs_sha256, log.model) == (before.status, before.inputs_sha256, before.model)
    assert log.notes[-1] == f"Scored again from the answers in {bench.out}."
    assert open_run(out).log == log
    for task in before.tasks:
        one, other = (read_samples(open_run(folder).samples_path(task)) for folder in (bench.out, out))
        assert one == other


def test_other_scoring_of_the_same_prompts_changes_the_scores(bench):
    assert r'(r"-?\d+",)' in PLUGIN
    bench.plugin.write_text(PLUGIN.replace(r'(r"-?\d+",)', r'(r"-?\d",)'), "utf-8")
    log, changes, out = again(bench)
    # Wrong answers have a further digit, which the shorter pattern does not see.
    assert changes["sums"].documents == (1, 4)
    assert changes["sums"].before.metrics["exact_match"].value == pytest.approx(4 / 6)
    assert changes["sums"].after.metrics["exact_match"].value == 1.0
    assert changes["quiz"].documents == ()
    assert log.task("sums").prompt_sha256 != changes["sums"].before.prompt_sha256
    assert read_json(out / "run.json")["tasks"][3]["metrics"]["exact_match"]["value"] == 1.0


def test_what_was_said_of_the_tokens_stays(tmp_path):
    letters = PLUGIN.replace('draw="seeded"),', 'draw="seeded"), join="last_token",')
    bench = Bench.make(tmp_path / "letters", documents=6, plugin=letters)
    bench.execute(oracle([bench.prepared("quiz:letters")]), "quiz:letters")
    log, _, _ = again(bench)
    [before], [after] = open_run(bench.out).log.tasks, log.tasks
    assert any(note.startswith("Letters were scored by the tokens") for note in before.answer_notes)
    assert (after.notes, after.answer_notes) == (before.notes, before.answer_notes)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("{{ stem }} =", "{{ stem }}:"),
        ("Q: {{ stem }}", "Question: {{ stem }}"),
        ("Shots(count=2, split", "Shots(count=2, draw='fixed', rows=(1, 0), split"),
    ],
)
def test_another_prompt_is_refused(bench, was, now):
    assert was in PLUGIN
    bench.plugin.write_text(PLUGIN.replace(was, now), "utf-8")
    with pytest.raises(UserError, match="the prompt of document 0 has changed since the run"):
        again(bench)
    assert not (bench.folder / "again").exists()


def test_other_rows_are_refused(bench):
    from tests.runs.bench import sum_rows, write_data

    write_data(bench.data, 6).write("tiny/sums", "default/test.parquet", sum_rows(6, first=1))
    with pytest.raises(UserError, match="sums: the row of document 0 has changed since the run"):
        again(bench)
    write_data(bench.data, 5)
    with pytest.raises(UserError, match="has 5 documents now, but the run has 6"):
        again(bench, "more")


def test_answers_that_never_came_stay_failures(tmp_path):
    bench = Bench.make(tmp_path, documents=6)
    right = oracle([bench.prepared("sums")])
    engine = ScriptedEngine(
        text=lambda context: Failure("no power") if "2 + 3 =" in context[-8:] else right.text(context)
    )
    bench.execute(engine, "sums")
    log, changes, _ = again(bench)
    assert log.status == "incomplete"
    assert (log.tasks[0].counts.failed, log.tasks[0].metrics, changes["sums"].documents) == (1, {}, ())
    log, _, _ = again(bench, "allowed", allow_failures=True)
    assert log.tasks[0].metrics["exact_match"].n == 5


def test_documents_that_a_scorer_failed_on_get_a_verdict_now(bench):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = bench.out / "samples" / "sums.parquet"
    rows = read_samples(path)
    rows[2] |= {"status": "failed", "reason": "the scorer gave no verdict in 30 s", "metrics": []}
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path)
    _, changes, _ = again(bench)
    assert changes["sums"].documents == (2,)
    assert changes["sums"].after.metrics["exact_match"].n == 6


def test_a_folder_that_is_taken_is_refused(bench):
    again(bench)
    with pytest.raises(UserError, match="exists already; choose another --out folder"):
        again(bench)


def test_a_rescored_run_is_a_run(bench):
    """The same command on it finds it finished; nothing is asked of a model."""
    _, _, out = again(bench)
    engine = oracle([bench.prepared(one) for one in TASKS])
    moved = bench.out.with_name("first")
    bench.out.rename(moved)
    out.rename(bench.out)
    bench.execute(engine)
    assert engine.asked == []


def test_no_model_library_is_imported(bench):
    code = (
        "import sys; from pathlib import Path; from evalsuite.registry.registry import Registry;from "
        f"evalsuite.runs.rescore import rescore;rescore(Path({str(bench.out)!r}), "
        f"Path({str(bench.folder / 'x')!r}), Registry.load([Path({str(bench.plugin)!r})]), "
        f"data_dir=Path({str(bench.data)!r}));print({{'torch', 'transformers'}} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "set()\n"
