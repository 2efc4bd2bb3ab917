"""Series of checkpoints: order, centring, noise, verdicts, plot."""

import math
import sys

import numpy as np
import pytest

from evalsuite.decisions.trend.noise import judge_change, step_noise
from evalsuite.decisions.trend.plot import plot_trend
from evalsuite.decisions.trend.table import trend_markdown, trend_rows, trend_tables
from evalsuite.decisions.trend.trend import trend
from evalsuite.errors import UserError
from evalsuite.results.run_spec import RunSpec
from tests.fabricate import Made, fabricate, verdicts


def series(folder, courses, models=None, documents=400, **record):
    """One run per checkpoint; `courses` has for each task its right answers by checkpoint."""
    count = len(next(iter(courses.values())))
    models = models or [f"run-{place}" for place in range(count)]
    return [
        fabricate(
            folder / f"c{place}",
            {
                name: Made(verdicts(course[place], documents - course[place]), record=record)
                for name, course in courses.items()
            },
            spec=RunSpec(tasks=tuple(courses), model=models[place]),
        )
        for place in range(count)
    ]


def test_noise_of_a_smooth_course_is_recovered_by_simulation():
    draw = np.random.default_rng(0)
    steps = np.cumsum(draw.integers(1, 5, 12)).astype(float)
    course = np.sqrt(steps) / 4
    squares = [step_noise(steps, course + draw.normal(0, 0.05, 12)) ** 2 for _ in range(2000)]
    assert math.sqrt(np.mean(squares)) == pytest.approx(0.05, rel=0.03)


def test_a_straight_line_has_no_noise_even_with_uneven_steps():
    steps = [1, 2, 4, 8, 9]
    assert step_noise(steps, [0.1 + 0.02 * step for step in steps]) == pytest.approx(0, abs=1e-12)
    assert step_noise(steps[:4], [0.1, 0.2, 0.3, 0.4]) is None


@pytest.mark.parametrize(
    ("values", "interval", "low", "verdict", "reason"),
    [
        (
            [0.30, 0.35, 0.40, 0.45, 0.50, 0.55],
            (0.2, 0.3),
            0.5,
            "yes",
            "a gain is detectable from one checkpoint to the next",
        ),
        (
            [0.30, 0.42, 0.33, 0.45, 0.36, 0.41],
            (0.05, 0.2),
            0.3,
            "no",
            "the gain is within the noise between",
        ),
        ([0.30, 0.31, 0.32, 0.33, 0.34, 0.35], (-0.01, 0.1), 0.3, "no", "within the sampling error"),
        ([0.25, 0.26, 0.25, 0.26, 0.25, 0.27], (0.01, 0.1), 0.24, "no", "the score is still at chance"),
        ([0.50, 0.48, 0.46, 0.44, 0.42, 0.40], (-0.2, -0.05), 0.35, "no", "the score falls"),
        ([0.30, 0.50], (0.1, 0.3), 0.45, "unknown", "estimating noise takes 5 checkpoints"),
        ([0.30], None, 0.25, "unknown", "fewer than two checkpoints"),
    ],
)
def test_the_rule_of_progress(values, interval, low, verdict, reason):
    found = judge_change(list(range(len(values))), values, interval, low, 0.25)
    assert (found.verdict, reason in found.reason) == (verdict, True)


@pytest.mark.parametrize(("checkpoints", "most"), [(5, 0.12), (12, 0.07)])
def test_a_flat_noisy_series_is_rarely_called_progress(checkpoints, most):
    draw = np.random.default_rng(0)
    verdicts = [
        judge_change(
            range(checkpoints), list(0.5 + draw.normal(0, 0.01, checkpoints)), (0.001, 1), 0.4, 0.25
        ).verdict
        for _ in range(1000)
    ]
    assert verdicts.count("yes") / 1000 < most


def test_steps_come_from_names_and_order_the_runs(tmp_path):
    runs = series(tmp_path, {"quiz": [300, 100, 200]}, ["m/step-12000", "m/step-900", "m/step-2k"])
    found = trend(*runs)
    assert (found.step_source, [one.step for one in found.checkpoints]) == ("names", [900, 2000, 12000])
    assert [point.value for point in found.task("quiz").points] == [0.25, 0.5, 0.75]
    given = trend(*runs, steps=[3, 2, 1])
    assert [point.value for point in given.task("quiz").points] == [0.5, 0.25, 0.75]


def test_without_steps_the_order_given_counts(tmp_path):
    runs = series(tmp_path, {"quiz": [100, 300]}, ["a", "b"])
    found = trend(runs[1], runs[0])
    assert (found.step_source, found.task("quiz").gain) == ("order", -0.5)
    assert any(note.startswith("Steps are the numbers of the runs") for note in found.notes)


def test_the_average_is_chance_centred_and_leaves_out_gaps(tmp_path):
    runs = series(tmp_path, {"quiz": [100, 400], "sums": [100, 200]}, chance=0.25)
    runs.append(fabricate(tmp_path / "more", {"quiz": Made(verdicts(250, 150), record={"chance": 0.25})}))
    found = trend(*runs)
    assert found.averaged == ("quiz",)
    assert [round(one.value, 6) for one in found.average.points] == [0, 1, 0.5]
    assert trend_rows(found)[1][-1] == "—"
    both = trend(*runs[:2])
    assert [round(one.value, 6) for one in both.average.points] == [0, pytest.approx((1 + 1 / 3) / 2)]


def test_the_gain_is_paired_where_samples_are_there(tmp_path):
    runs = series(tmp_path, {"quiz": [200, 220]})
    paired = trend(*runs).task("quiz")
    for file in (runs[0] / "samples").iterdir():
        file.unlink()
    (runs[0] / "samples").rmdir()
    unpaired = trend(*runs).task("quiz")
    assert (paired.gain_paired, unpaired.gain_paired) == (True, False)
    assert 0 < paired.gain_low < paired.gain_high < unpaired.gain_high
    assert unpaired.gain_low < 0


def test_a_metric_that_counts_loss_gains_by_falling(tmp_path):
    runs = [
        fabricate(
            tmp_path / str(place),
            {"bits": Made([level + 0.01 * (row % 7) for row in range(50)], metric="bits_per_byte")},
        )
        for place, level in enumerate((1.5, 1.3, 1.1, 0.95, 0.8, 0.7))
    ]
    found = trend(*runs)
    assert found.task("bits").verdict == "yes"
    assert found.task("bits").gain == pytest.approx(-0.8)
    assert found.average is None
    assert "-0.8000" in trend_markdown(found)


def test_tables_have_each_step_and_the_average(tmp_path):
    found = trend(*series(tmp_path, {"quiz": [100, 150, 200, 250, 300]}, chance=0.25))
    scores, verdicts_ = trend_tables(found)
    assert (scores.row_count, len(scores.columns), verdicts_.row_count) == (2, 8, 2)
    assert "| quiz | acc | 25.0 | 25.00 ±4.2 |" in trend_markdown(found)
    assert len(found.to_pandas()) == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda runs: (runs[:1], {}), "Give two or more runs"),
        (lambda runs: (runs, {"steps": [1]}), "1 numbers for 2 runs"),
        (lambda runs: (runs, {"steps": [1, 1]}), "has the same step twice"),
    ],
)
def test_a_series_that_makes_no_sense_is_refused(tmp_path, change, said):
    runs, options = change(series(tmp_path, {"quiz": [100, 200]}))
    with pytest.raises(UserError, match=said):
        trend(*runs, **options)


def test_another_protocol_in_between_is_refused_unless_accepted(tmp_path):
    runs = series(tmp_path, {"quiz": [100, 200]})
    runs.append(fabricate(tmp_path / "x", {"quiz": Made(verdicts(3, 3), record={"prompt_sha256": "b" * 64})}))
    with pytest.raises(UserError, match="of quiz differ between the runs"):
        trend(*runs)
    assert "The protocol of quiz differs between the runs." in trend(*runs, allow_protocol_drift=True).notes


def test_runs_without_a_common_task_are_refused(tmp_path):
    runs = [fabricate(tmp_path / name, {name: verdicts(3, 3)}) for name in ("quiz", "sums")]
    with pytest.raises(UserError, match="no task in common; they have quiz, sums"):
        trend(*runs)


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_plot_has_a_panel_per_task_and_is_reproducible(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    found = trend(
        *series(tmp_path, {"quiz": [100, 150, 200, 250, 300], "sums": [9, 8, 9, 9, 8]}, chance=0.25)
    )
    files = [tmp_path / f"{name}.{suffix}" for name in ("one", "two")]
    for file in files:
        plot_trend(found, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    if suffix == "svg":
        text = files[0].read_text("utf-8")
        for shown in ("chance-centred average", "quiz · acc", "sums · acc", "number in the series"):
            assert shown in text


def test_a_missing_matplotlib_is_a_sentence(tmp_path, monkeypatch):
    found = trend(*series(tmp_path, {"quiz": [100, 200]}))
    monkeypatch.setattr("evalsuite.decisions.trend.plot.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pip install 'evalsuite\[plot\]'"):
        plot_trend(found, tmp_path / "plot.svg")
    assert not (tmp_path / "plot.svg").exists()
