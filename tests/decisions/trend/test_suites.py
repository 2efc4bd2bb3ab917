"""Suites over a series of checkpoints: value, noise, and what their tasks carry."""

import json
import statistics

import pytest

import evalsuite
from evalsuite.decisions.seeds.published import published_table
from evalsuite.decisions.trend.table import trend_markdown, trend_tables
from evalsuite.prompting.suites import MeanSpec, Suite, SuiteMean, SuiteSpec, Term
from evalsuite.registry.registry import Registry
from evalsuite.results.read import open_run
from evalsuite.results.suites import suite_records
from evalsuite.stats.seeds import sd_of_sum
from evalsuite.watch.curves import trend_page
from tests.fabricate import Made, fabricate, verdicts
from tests.golden.golden import GOLDEN, needs_golden

N = 1000


def suite(baselines=None, version=1, names=("quiz", "pairs")):
    spec = SuiteSpec(
        recipe="ours",
        name="ours",
        version=version,
        title="two",
        source={"status": "ours"},
        members=names,
        means={"main": {"baselines": baselines or {}}, "quiz": {"of": ["quiz"]}},
    )
    terms = tuple(
        Term(name, f"ours/{name}:cloze@0", 1 / len(names), (baselines or {}).get(name, 0.0), "")
        for name in names
    )
    one = Term("quiz", "ours/quiz:cloze@0", 1.0, 0.0, "")
    means = (
        SuiteMean("main", MeanSpec(baselines=baselines or {}), terms),
        SuiteMean("quiz", MeanSpec(of=("quiz",)), (one,)),
    )
    return Suite(spec, {name: f"ours/{name}:cloze@0" for name in names}, means)


def run(folder, quiz, pairs, which=None):
    made = {
        name: Made(verdicts(right, N - right), record={"address": f"ours/{name}:cloze@0"})
        for name, right in (("quiz", quiz), ("pairs", pairs))
    }
    log = open_run(fabricate(folder, made)).log
    found = suite_records([which or suite({"quiz": 0.25, "pairs": 0.5})], log.tasks)
    return fabricate(folder, made, suites=found)


@pytest.fixture
def series(tmp_path):
    courses = zip((300, 350, 410, 450, 500, 560), (510, 490, 520, 480, 505, 500), strict=True)
    return [run(tmp_path / f"step-{place}00", *rights) for place, rights in enumerate(courses, start=1)]


def test_the_trend_has_the_suites_of_the_runs(series):
    found = evalsuite.trend(*series)
    main, quiz = found.suites
    assert [main.trend.name, quiz.trend.name] == ["ours main", "ours quiz"]
    assert main.trend.metric == "centred"
    assert main.trend.points[0].value == pytest.approx((0.05 / 0.75 + 0.01 / 0.5) / 2)
    assert main.trend.gain == pytest.approx((0.26 / 0.75 - 0.01 / 0.5) / 2)
    assert main.trend.gain_low < main.trend.gain < main.trend.gain_high
    assert main.trend.gain_paired
    assert quiz.trend.verdict == "yes"


def test_the_parts_add_up_to_the_gain_and_say_what_they_carry(series):
    main = evalsuite.trend(*series).suites[0]
    assert sum(part.gain for part in main.parts) == pytest.approx(main.trend.gain)
    assert sum(part.noise_share for part in main.parts) == pytest.approx(1)
    assert {part.task: part.carries for part in main.parts} == {"quiz": "signal", "pairs": "noise"}


def test_measured_seeds_give_the_noise_of_the_mean(series, tmp_path):
    seeds = [run(tmp_path / f"seed{place}", 500 + 20 * place, 500 - 10 * place) for place in range(3)]
    main = evalsuite.trend(*series, seeds=seeds).suites[0]
    values = [(0.02 * place / 0.75 - 0.01 * place / 0.5) / 2 for place in range(3)]
    assert main.trend.seed_noise.sd == pytest.approx(statistics.stdev(values))
    assert main.trend.seed_noise.trainings == 3


def test_runs_with_other_versions_are_left_out_with_a_note(series, tmp_path):
    other = run(tmp_path / "step-900", 500, 500, suite({"quiz": 0.25, "pairs": 0.5}, version=2))
    found = evalsuite.trend(*series, other)
    assert found.suites == ()
    assert any("different versions of the suite ours" in note for note in found.notes)


def test_tables_and_the_page_show_suites(series):
    found = evalsuite.trend(*series)
    assert len(trend_tables(found)) == 3
    text = trend_markdown(found)
    assert "| ours main | quiz |" in text
    assert "ours main" in trend_page(found)
    assert json.loads(found.model_dump_json())["suites"][0]["parts"][0]["task"] == "quiz"


def test_a_series_without_suites_has_two_tables(tmp_path):
    runs = [fabricate(tmp_path / f"r{place}", {"quiz": verdicts(5 + place, 5 - place)}) for place in range(2)]
    assert len(trend_tables(evalsuite.trend(*runs))) == 2


def published(name):
    """The published spread of each task in a mean of CORE, in the mean's unit, by task."""
    [mean] = [one for one in Registry.load().suites.named("core").means if one.name == name]
    rows = published_table().tasks
    return {term.task: term.share / (1 - term.baseline) * rows[term.task].sd for term in mean.terms}


@needs_golden
def test_published_spreads_are_those_of_the_reference():
    table = json.loads((GOLDEN.parent / "reference" / "noise.json").read_text("utf-8"))
    reference = table["core_tasks_d20"]["tasks"]
    assert {f"core/{name}" for name in reference} == set(published("v1"))
    whole = sum(sd**2 for sd in published("v1").values())
    for name, row in reference.items():
        assert published_table().tasks[f"core/{name}"].sd == row["sd_accuracy"]
        share = published("v1")[f"core/{name}"] ** 2 / whole
        assert share == pytest.approx(row["share_of_core_variance_if_independent"], abs=1e-3)
    [run] = [entry for entry in table["entries"] if entry["id"] == "nanochat_d20_public_reports"]
    assert published_table().suites["core v1"].sd == run["sd"]


def test_the_metrics_of_the_published_table_are_the_recipes():
    registry = Registry.load()
    for address, row in published_table().tasks.items():
        assert registry.select([address])[0].spec.metrics[0] == row.metric


def test_four_tasks_have_most_of_cores_noise():
    noise = published("v1")
    four = ["core/boolq", "core/commonsense_qa", "core/copa", "core/agi_eval_lsat_ar"]
    share = sum(noise[name] ** 2 for name in four) / sum(sd**2 for sd in noise.values())
    assert share == pytest.approx(0.89, abs=0.01)
    assert sd_of_sum([("", sd) for sd in published("v1_less_noise").values()]) < 0.004
