"""Averages of a recipe whose tasks are averaged."""

import pytest

from evalsuite.results.averages import averages
from evalsuite.results.read import open_run
from evalsuite.results.tables import table_rows
from tests.fabricate import Made, fabricate, verdicts


def tasks(folder, **fields):
    made = {
        "quiz": Made(verdicts(70, 30), record={"chance": 0.25} | fields),
        "pairs": Made(verdicts(60, 40), record={"chance": 0.5} | fields),
        "sums": Made(verdicts(10, 90), metric="exact_match", record={"chance": None} | fields),
        "quiz:letters": Made(verdicts(30, 70), record={"task": "quiz", "chance": 0.25} | fields),
        "quiz:gold": Made([1.0, 3.0] * 50, metric="bits_per_byte", record={"task": "quiz"} | fields),
        "sums:gold": Made([0.5, 0.7] * 50, metric="bits_per_byte", record={"task": "sums"} | fields),
    }
    return open_run(fabricate(folder, made)).log.tasks


def test_scores_are_centred_on_chance_and_losses_are_not(tmp_path):
    centred, loss = averages(tasks(tmp_path / "run", recipe="ours", averaged=True))
    assert (centred.recipe, centred.metric, centred.tasks) == ("ours", "centred", ("quiz", "pairs", "sums"))
    assert centred.score.value == pytest.approx(((0.7 - 0.25) / 0.75 + (0.6 - 0.5) / 0.5 + 0.1) / 3)
    variances = [0.7 * 0.3 / 99 / 0.75**2, 0.6 * 0.4 / 99 / 0.5**2, 0.1 * 0.9 / 99]
    assert centred.score.stderr == pytest.approx(sum(variances) ** 0.5 / 3)
    assert (loss.metric, loss.tasks) == ("bits_per_byte", ("quiz:gold", "sums:gold"))
    assert loss.score.value == pytest.approx((2.0 + 0.6) / 2)


def test_a_recipe_that_is_not_averaged_has_no_average(tmp_path):
    assert averages(tasks(tmp_path / "run", recipe="ours")) == ()


def test_a_task_without_a_score_leaves_no_average(tmp_path):
    quiz, pairs, *_ = tasks(tmp_path / "run", recipe="ours", averaged=True)
    assert averages([quiz, pairs])[0].tasks == ("quiz", "pairs")
    assert averages([quiz, pairs.model_copy(update={"metrics": {}})]) == ()
    assert averages([quiz]) == ()


def test_the_table_shows_averages_last(tmp_path):
    log = open_run(fabricate(tmp_path / "run", {"quiz": verdicts(7, 3)})).log
    found = averages(tasks(tmp_path / "more", recipe="ours", averaged=True))
    rows = table_rows(log.model_copy(update={"averages": found}))
    assert rows[-2][:4] == ("ours average", "", "centred, mean of 3 tasks", "30.00")
    assert rows[-1][2:4] == ("bits_per_byte, mean of 2 tasks", "1.3000")
