"""The gate on fabricated runs, as a careful release engineer would expect it."""

import re
from pathlib import Path

import pytest

import evalsuite
from evalsuite.decisions.gate.document import GateReport
from evalsuite.decisions.gate.policy import Policy
from evalsuite.errors import UserError
from tests.fabricate import Made, fabricate, flipped, verdicts

LARGE = verdicts(900, 600)
SMALL = verdicts(80, 84)


def policy(pooled=None, **tasks) -> Policy:
    """Tasks as `tier, margin`."""
    made = {name: {"tier": tier, "margin": margin} for name, (tier, margin) in tasks.items()}
    return Policy.model_validate({"tasks": made, "pooled": pooled and {"margin": pooled}})


CRITICAL = policy(mmlu=("critical", 0.03))


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Run folders, each written once."""
    folders: dict[str, Path] = {}

    def of(name, tasks) -> Path:
        key = f"{name} {tasks}"
        if key not in folders:
            folders[key] = fabricate(tmp_path_factory.mktemp("runs") / name, tasks)
        return folders[key]

    return of


@pytest.fixture
def gated(folder_of):
    def of(first, second, rules=CRITICAL, **settings) -> GateReport:
        return evalsuite.gate(folder_of("one", first), folder_of("other", second), rules, **settings)

    return of


@pytest.mark.parametrize(
    ("lost", "gained", "outcome", "code"),
    [(75, 75, "PASS", 0), (15, 0, "PASS", 0), (90, 45, "INCONCLUSIVE", 2), (130, 25, "FAIL", 1)],
)
def test_a_task_is_judged_by_the_whole_interval_of_its_damage(gated, lost, gained, outcome, code):
    found = gated({"mmlu": LARGE}, {"mmlu": flipped(LARGE, lost, gained)})
    assert (found.outcome, found.exit_code) == (outcome, code)
    [task] = found.tasks
    assert task.damage == pytest.approx((lost - gained) / 1500)
    assert task.low < task.damage < task.high
    assert (outcome == "PASS") == (task.high <= 0.03)


def test_the_same_verdicts_pass_even_on_few_documents(gated):
    rules = Policy.model_validate(
        {"tasks": {"he": {"tier": "critical", "margin": 0.05, "discordance": 0.02}}, "pooled": None}
    )
    found = gated({"he": SMALL}, {"he": SMALL}, rules)
    assert found.outcome == "PASS"
    assert found.tasks[0].high == pytest.approx(1.645**2 / (164 + 1.645**2), abs=1e-4)


@pytest.mark.parametrize(
    ("tier", "outcome", "decides"),
    [("critical", "FAIL", True), ("supporting", "FAIL", True), ("advisory", "PASS", False)],
)
def test_damage_beyond_the_margin_fails_unless_the_task_is_advisory(gated, tier, outcome, decides):
    rules = policy(mmlu=("critical", 0.03), arc=(tier, 0.03))
    found = gated({"mmlu": LARGE, "arc": LARGE}, {"mmlu": LARGE, "arc": flipped(LARGE, lost=200)}, rules)
    assert found.outcome == outcome
    assert (found.tasks[1].outcome, found.tasks[1].decides) == ("FAIL", decides)


def test_a_supporting_task_that_shows_nothing_holds_nothing_back(gated):
    rules = policy(mmlu=("critical", 0.03), he=("supporting", 0.02))
    found = gated({"mmlu": LARGE, "he": SMALL}, {"mmlu": LARGE, "he": flipped(SMALL, 9, 7)}, rules)
    assert (found.outcome, found.tasks[1].outcome) == ("PASS", "INCONCLUSIVE")
    assert re.search(
        r"9\.8% of the documents changed .* margin 0\.06\d? or 1,5\d\d documents would suffice",
        found.tasks[1].reason,
    )


def test_a_small_loss_everywhere_shows_in_the_pooled_mean(gated):
    names = [f"t{n}" for n in range(8)]
    rules = policy(0.015, **dict.fromkeys(names, ("supporting", 0.06)))
    base = verdicts(500, 500)
    found = gated(dict.fromkeys(names, base), dict.fromkeys(names, flipped(base, 70, 40)), rules)
    assert [task.outcome for task in found.tasks] == ["PASS"] * 8
    assert (found.outcome, found.pooled.outcome) == ("FAIL", "FAIL")
    assert found.pooled.damage == pytest.approx(0.03)
    assert found.reason == "The candidate fails on the mean over all tasks."


def test_failing_is_adjusted_over_tasks(gated):
    """Damage that alone would be shown to be beyond the margin is not, as one of nine."""
    names = [f"t{n}" for n in range(8)]
    rules = policy(**dict.fromkeys(names, ("supporting", 0.03)), mmlu=("critical", 0.03))
    second = dict.fromkeys(names, LARGE) | {"t3": flipped(LARGE, 110, 43), "mmlu": LARGE}
    found = gated(dict.fromkeys([*names, "mmlu"], LARGE), second, rules)
    task = found.tasks[3]
    assert task.low > 0.03
    assert task.p_beyond >= 0.05
    assert task.outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("tier", "outcome"), [("critical", "FAIL"), ("supporting", "INCONCLUSIVE"), ("advisory", "PASS")]
)
def test_a_task_that_the_candidate_lacks(gated, tier, outcome):
    rules = policy(mmlu=("critical", 0.03), arc=(tier, 0.03))
    found = gated({"mmlu": LARGE, "arc": LARGE}, {"mmlu": LARGE}, rules)
    assert found.outcome == outcome
    assert found.tasks[1].reason == "The candidate has no result for this task."


@pytest.mark.parametrize("tier", ["critical", "supporting"])
def test_documents_without_a_verdict_keep_a_task_from_passing(gated, tier):
    rules = policy(mmlu=("critical", 0.03), arc=(tier, 0.03))
    found = gated({"mmlu": LARGE, "arc": LARGE}, {"mmlu": LARGE, "arc": Made(LARGE, failed=[1, 2, 3])}, rules)
    assert found.outcome == "INCONCLUSIVE"
    assert found.tasks[1].reason.startswith(
        "3 documents have no verdict in one of the runs (document 1 of the candidate: the engine died); "
    )


def test_some_documents_without_a_verdict_can_be_allowed(gated):
    rules = CRITICAL.model_copy(update={"max_unscored": 0.01})
    assert gated({"mmlu": LARGE}, {"mmlu": Made(LARGE, failed=[1, 2, 3])}, rules).outcome == "PASS"


def test_damage_that_is_shown_fails_whatever_is_missing(gated):
    second = Made(flipped(LARGE, lost=300), failed=[1499])
    assert gated({"mmlu": LARGE}, {"mmlu": second}).outcome == "FAIL"


def test_a_subset_of_the_documents_is_not_enough(gated):
    found = gated({"mmlu": LARGE}, {"mmlu": LARGE[:1350]})
    assert found.outcome == "INCONCLUSIVE"
    assert "has 1,350 of the baseline's 1,500 documents" in found.tasks[0].reason


def test_a_policy_that_no_unchanged_candidate_could_pass_is_refused_with_what_would_suffice(gated):
    with pytest.raises(UserError) as error:
        gated({"he": SMALL}, {"he": SMALL}, policy(he=("critical", 0.015)))
    said = str(error.value)
    assert "would pass this policy with a probability of only 15%, below its power of 80%" in said
    margin, documents = re.search(r"margin ([\d.]+) or ([\d,]+) documents would suffice", said).groups()
    assert gated({"he": SMALL}, {"he": SMALL}, policy(he=("critical", float(margin)))).outcome == "PASS"
    many = verdicts(1, 1) * (int(documents.replace(",", "")) // 2 + 1)
    assert gated({"he": many}, {"he": many}, policy(he=("critical", 0.015))).outcome == "PASS"


def test_many_critical_tasks_need_more_power_each(gated):
    """Each would pass with more than 80 %, all of them would not."""
    names = [f"t{n}" for n in range(10)]
    base = verdicts(500, 500)
    assert gated({"t0": base}, {"t0": base}, policy(t0=("critical", 0.026))).outcome == "PASS"
    rules = policy(**dict.fromkeys(names, ("critical", 0.026)))
    with pytest.raises(UserError, match=r"would pass this policy with a probability of only 1[0-9]%"):
        gated(dict.fromkeys(names, base), dict.fromkeys(names, base), rules)


def test_a_pooled_mean_without_power_names_the_task_that_blurs_it(gated):
    rules = policy(0.005, mmlu=("supporting", 0.02), he=("supporting", 0.1))
    with pytest.raises(
        UserError, match=r"margin 0\.0\d+ would suffice, or make he, which has the largest error"
    ):
        gated({"mmlu": LARGE, "he": SMALL}, {"mmlu": LARGE, "he": SMALL}, rules)


def test_the_assumed_discordance_is_never_more_than_chance_would_bring(gated):
    sure = verdicts(980, 20)
    found = gated({"mmlu": sure}, {"mmlu": sure})
    assert found.tasks[0].assumed_discordance == pytest.approx(2 * 0.98 * 0.02)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (policy(mmly=("critical", 0.02)), "Unknown task 'mmly'. Did you mean mmlu?"),
        (policy(mmlu=("supporting", 0.02)), "decides nothing"),
        (policy(0.02, mmlu=("advisory", 0.02)), "no critical or supporting task to pool"),
        (
            Policy.model_validate({"tasks": {"mmlu": {"metric": "f1"}}}),
            "no values of metric 'f1' for task mmlu; its metrics are acc",
        ),
    ],
)
def test_a_policy_that_does_not_fit_the_baseline_is_refused(gated, rules, said):
    with pytest.raises(UserError, match=re.escape(said)):
        gated({"mmlu": LARGE}, {"mmlu": LARGE}, rules)


def test_other_prompts_and_other_documents_are_refused(gated):
    other = {"mmlu": Made(LARGE, record={"prompt_sha256": "b" * 64})}
    with pytest.raises(UserError, match="--allow-protocol-drift"):
        gated({"mmlu": LARGE}, other)
    assert gated({"mmlu": LARGE}, other, allow_protocol_drift=True).outcome == "PASS"
    with pytest.raises(UserError, match="no common documents"):
        gated({"mmlu": LARGE}, {"mmlu": Made(LARGE, rows=range(-1500, 0))})


def test_a_metric_that_counts_loss_is_judged_the_other_way(gated):
    first = [0.8 + 0.0001 * n for n in range(1000)]
    rules = policy(gold=("critical", 0.02))
    made = {"gold": Made(first, metric="bits_per_byte")}
    lower = {"gold": Made([value - 0.05 for value in first], metric="bits_per_byte")}
    higher = {"gold": Made([value + 0.05 for value in first], metric="bits_per_byte")}
    assert gated(made, lower, rules).outcome == "PASS"
    found = gated(made, higher, rules)
    assert (found.outcome, found.tasks[0].damage) == ("FAIL", pytest.approx(0.05))


def test_clusters_widen_the_bounds(gated):
    passages = [str(n // 30) for n in range(1500)]
    second = flipped(LARGE, lost=120, gained=60)
    plain = gated({"mmlu": LARGE}, {"mmlu": second}, policy(mmlu=("critical", 0.08))).tasks[0]
    first = {"mmlu": Made(LARGE, clusters=passages)}
    found = gated(
        first,
        {"mmlu": Made(second, clusters=passages)},
        Policy.model_validate({"tasks": {"mmlu": {"tier": "critical", "margin": 0.3}}, "pooled": None}),
    ).tasks[0]
    assert found.high - found.low > plain.high - plain.low


def test_the_report_is_a_document(gated):
    found = gated({"mmlu": LARGE}, {"mmlu": LARGE})
    assert GateReport.model_validate_json(found.model_dump_json()) == found
    assert 0.8 <= found.pass_chance <= 1
