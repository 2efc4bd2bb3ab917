"""A task that counts by the better of its forms: through the whole pipeline, and what its record says."""

from collections.abc import Collection
from pathlib import Path

import pytest

from evalsuite.checkpoints import ModelFiles
from evalsuite.registry.registry import Registry
from evalsuite.report.source import open_source
from evalsuite.report.view import run_view
from evalsuite.requests.prepare import prepare
from evalsuite.results.best_form import best_forms
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import RunLog, read_run
from evalsuite.results.tables import remarks, table_rows
from evalsuite.runs.execute import execute
from evalsuite.runs.options import Execution
from tests.fabricate import Made, fabricate, verdicts
from tests.runs.bench import Bench, oracle

RECIPE = "title: the better form counts\nscore: best_form\n"
SPEC = """
version: 1
uses: quiz
source: {status: ours}
format: FORMAT
question: "{{ stem }} FORMAT:"
scorer: choice
metrics: [acc]
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    bench = Bench.make(tmp_path_factory.mktemp("best"))
    (bench.folder / "duel").mkdir()
    (bench.folder / "duel" / "recipe.yaml").write_text(RECIPE, "utf-8")
    for form in ("cloze", "letters"):
        file = bench.folder / "duel" / f"contest.{form}.yaml"
        file.write_text(SPEC.replace("FORMAT", form), "utf-8")
    return bench


def run(bench: Bench, out: Path, *addresses: str, wrong: dict[str, set[int]]) -> RunLog:
    """A run of an engine that errs, in each form, on the given documents."""
    tasks = Registry.load([bench.folder]).select(addresses)
    engines = [oracle([prepare(one, data_dir=bench.data)], wrong[one.spec.format]) for one in tasks]
    engine = oracle([])
    engine.likelihood = lambda text: max(one.likelihood(text) for one in engines)
    spec = RunSpec(tasks=tuple(one.address for one in tasks), model="scripted")
    execution = Execution(folder=out, data_dir=bench.data)
    return execute(spec, tasks, ModelFiles("scripted", Path("nowhere")), execution, engine=engine)


def test_an_address_without_a_form_runs_both_and_the_better_one_counts(bench, tmp_path):
    log = run(bench, tmp_path, "duel/contest", wrong={"cloze": {0, 5, 6, 7}, "letters": {3}})
    [best] = log.best_forms
    assert [task.name for task in log.tasks] == ["contest:cloze", "contest:letters"]
    assert (best.name, best.chosen, best.metric) == ("contest", "contest:letters", "acc")
    assert best.forms == {"contest:cloze": 12 / 16, "contest:letters": 15 / 16}
    assert best.score == log.task("contest:letters").metrics["acc"]
    assert read_run(tmp_path) == log


def test_one_form_alone_is_no_contest(bench, tmp_path):
    log = run(bench, tmp_path, "duel/contest:cloze", wrong={"cloze": {0}})
    assert log.best_forms == ()


def duel(folder: Path, cloze: int, letters: int, failed: Collection[int] = ()) -> RunLog:
    """A run with that many of ten right in each form; documents of the cloze form may have failed."""
    made = {
        f"quiz:{form}": Made(
            verdicts(right, 10 - right),
            failed=failed if form == "cloze" else (),
            record={"best_of": "quiz", "format": form},
        )
        for form, right in (("cloze", cloze), ("letters", letters))
    }
    log = read_run(fabricate(folder, {**made, "other": verdicts(5, 5)}))
    return log.model_copy(update={"best_forms": best_forms(log.tasks)})


def test_ties_go_to_the_first_form(tmp_path):
    assert duel(tmp_path, 6, 6).best_forms[0].chosen == "quiz:cloze"


def test_a_form_without_a_score_leaves_the_task_without_one(tmp_path):
    assert duel(tmp_path, 6, 9, failed={0}).best_forms == ()


def test_the_table_shows_both_forms_and_the_better_one_with_a_warning(tmp_path):
    log = duel(tmp_path, 6, 9)
    rows = table_rows(log)
    assert [row[0] for row in rows] == ["quiz:cloze", "quiz:letters", "other", "quiz"]
    assert rows[-1][2:5] == ("acc, better form: letters", "90.00", rows[1][4])
    assert remarks(log)[-1].startswith(
        "quiz: the score is the better of two forms; if they are close, it is too high on average"
    )


def test_the_report_shows_the_better_form_too(bench, tmp_path):
    run(bench, tmp_path, "duel/contest", wrong={"cloze": {0}, "letters": {3, 4}})
    [source] = open_source([tmp_path])
    view = run_view(source)
    assert [(line.task, line.score) for line in view.scores][-1] == ("contest", "93.75")
    assert view.scores[-1].metric == "acc, better form: cloze"
