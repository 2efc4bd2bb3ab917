"""Which published numbers a run may be compared with, and how sure the delta is."""

import math
from dataclasses import replace

import numpy as np
import pytest

from evalsuite.decisions.card.card import load_card
from evalsuite.decisions.card.comparable import Installed, reasons_against
from evalsuite.decisions.card.compare import compare_with_card, delta_interval, published_interval
from evalsuite.decisions.card.table import card_markdown, card_table
from evalsuite.errors import UserError
from evalsuite.results.read import open_run
from evalsuite.results.runlog import Counts, MetricRecord, ModelRecord
from tests.decisions.card.published import complete, known, record, scored
from tests.fabricate import Made, fabricate

ARC = "nemotron_h/arc_challenge"


def compared(folder, tasks, card="nemotron-h-56b", **options):
    return compare_with_card(fabricate(folder, tasks), card, **options)


def kinds(cell):
    return [reason.kind for reason in cell.reasons]


def test_the_same_protocol_with_a_close_score_agrees(tmp_path):
    cell = compared(tmp_path / "run", {"arc_challenge": scored(ARC, 1110, 1172)}).cell("ARC-Challenge")
    assert (cell.verdict, cell.printed, cell.documents, cell.published_documents) == (
        "agrees",
        "94.97",
        1172,
        1172,
    )
    assert cell.delta == pytest.approx(1110 / 1172 - 0.9497)
    assert cell.delta_low < 0 < cell.delta_high
    assert cell.rounding == pytest.approx(0.00005)


def test_the_same_protocol_with_a_far_score_differs(tmp_path):
    found = compared(tmp_path / "run", {"arc_challenge": scored(ARC, 1040, 1172)})
    assert found.cell("ARC-Challenge").verdict == "differs"
    assert "1 of 14 published numbers are comparable with this run." in found.notes


@pytest.mark.parametrize(
    ("changed", "kind", "said"),
    [
        ({"shots": 0}, "shots", "different shots: 25 published, 0 in the run"),
        ({"format": "cloze"}, "form", "different form: letters published, cloze in the run"),
        ({"split": "validation"}, "split", "different split: test published, validation in the run"),
        (
            {"recipe": "lm_eval"},
            "recipe",
            "the run used recipe lm_eval; nemotron_h/arc_challenge reproduces it",
        ),
        (
            {"prompt_sha256": "0" * 64},
            "prompt",
            "prompt spec differs from nemotron_h/arc_challenge:letters@25",
        ),
        ({"comparability": 0}, "data", "the task has changed since the run"),
        ({"source": {"status": "inferred"}}, "inferred", "the run's recipe is inferred"),
    ],
)
def test_a_declared_field_that_differs_is_the_reason(tmp_path, changed, kind, said):
    found = compared(tmp_path / "run", {"arc_challenge": scored(ARC, 1110, 1172, **changed)})
    cell = found.cell("ARC-Challenge")
    assert cell.verdict == "not comparable"
    assert kind in kinds(cell)
    assert said in cell.verdict_text


def whole_run(cell, address, share):
    """A run of one task on all documents of its split, or on those of the members that its spec names."""
    [selected] = known().select([address])
    pin = selected.task.data.splits[selected.spec.split or selected.task.split]
    run = complete(address, share, cell.setting.documents if selected.spec.members else pin.rows)
    if {*cell.setting.metric} & {*selected.spec.aggregates}:  # each covers the documents of its subset
        own = complete(address, share, cell.setting.documents or pin.rows)
        return replace(run, record=run.record | {"metrics": own.record["metrics"]})
    return run


NEMOTRON_CELLS = [
    (name, cell, address)
    for name in (
        "nemotron-h-56b",
        "nemotron-h-8b",
        "nemotron-3-8b",
        "nemotron-3-nano-30b",
        "nemotron-3-super",
        "nemotron-3-super-docs",
        "nemotron-3-ultra",
        "nemotron-3.5-lightning",
    )
    for cell, _ in load_card(name).of_model(load_card(name).models[0])
    if cell.address
    for address in [cell.address, *["nemotron_h/mmlu_generate"] * (len(cell.setting.form) > 1)]
]
OTHERS = [
    ({"prompt_sha256": "0" * 64}, "prompt"),
    ({"recipe": "other"}, "recipe"),
    ({"variant": "other"}, "recipe"),
    ({"shots": 21}, "shots"),
    ({"format": "other"}, "form"),
    ({"split": "other"}, "split"),
    ({"comparability": 0}, "data"),
    ({"counts": Counts(documents=100, scored=100)}, "subset"),
    ({"metrics": {"other": MetricRecord(value=0.5, stderr=0.1, low=0.4, high=0.6, n=9)}}, "metric"),
]


@pytest.mark.parametrize(("name", "cell", "address"), NEMOTRON_CELLS)
def test_each_cell_of_the_nemotron_cards_is_comparable_with_its_address_and_nothing_else(
    tmp_path, name, cell, address
):
    card = load_card(name)
    model, value = card.models[0], cell.values[card.models[0]]
    run = fabricate(tmp_path / "run", {address: whole_run(cell, address, value / 100)})
    found = compare_with_card(run, name, model=model).cell(cell.benchmark)
    unsure = cell.status == "inferred" or cell.inferred or len(cell.setting.form) > 1
    unsure = unsure or len(cell.setting.metric) > 1
    assert (set(kinds(found)) <= {"inferred", "undecided"}, bool(found.reasons)) == (True, bool(unsure))
    accepted = compare_with_card(run, name, model=model, accept_inferred=True).cell(cell.benchmark)
    assert accepted.verdict == "agrees", accepted.verdict_text

    [task], installed = open_run(run).log.tasks, Installed()
    for changed, kind in OTHERS:
        reasons = reasons_against(cell, task.model_copy(update=changed), installed)
        assert kind in [reason.kind for reason in reasons], changed


@pytest.mark.parametrize(
    ("name", "benchmark", "wrong", "said"),
    [
        (
            "nemotron-h-56b",
            "MATH-500",
            "math_500",
            "the run has no task math (nemotron_h/math reproduces it)",
        ),
        ("nemotron-h-56b", "MATH", "minerva_math", "the run has no task math"),
        (
            "nemotron-h-56b",
            "MBPP (sanitized)",
            "lm_eval/mbpp",
            "different documents: 257 published, 500 in the run",
        ),
        ("nemotron-h-56b", "HumanEval", "lm_eval/humaneval", "the run used recipe lm_eval"),
        (
            "nemotron-h-56b",
            "MMLU-Pro",
            "evalsuite/mmlu_pro",
            "different form: generate published, letters in the run",
        ),
        (
            "nemotron-3-8b",
            "GSM8K",
            "nemotron_h/gsm8k",
            "different metric: maj@8 published, exact_match in the run",
        ),
        (
            "nemotron-3-8b",
            "TyDiQA-GoldP",
            "lm_eval/tydiqa_goldp",
            "different shots: 1 published, 0 in the run",
        ),
        (
            "nemotron-3-8b",
            "WebQS",
            "lm_eval/webqs",
            "the run used recipe lm_eval; nemotron_3/webqs reproduces it",
        ),
        (
            "nemotron-3-8b",
            "PiQA",
            "nemotron_3/piqa:nemo",
            "the run used variant nemo; nemotron_3/piqa reproduces it",
        ),
    ],
)
def test_the_same_benchmark_asked_in_another_way_is_not_comparable(tmp_path, name, benchmark, wrong, said):
    [selected] = known().select([wrong])
    rows = selected.task.data.splits[selected.spec.split or selected.task.split].rows
    run = fabricate(tmp_path / "run", {wrong: complete(wrong, 0.5, rows)})
    found = compare_with_card(run, name).cell(benchmark)
    assert found.verdict == "not comparable"
    assert said in found.verdict_text


def test_names_alone_decide_nothing(tmp_path):
    """A task of another name, asked in the published way, is found by its record."""
    cell = compared(tmp_path / "run", {"my_arc": scored(ARC, 1110, 1172, name="my_arc")}).cell(
        "ARC-Challenge"
    )
    assert (cell.task, cell.verdict) == ("my_arc", "agrees")


def test_another_metric_is_named(tmp_path):
    made = scored("nemotron_h/hellaswag", 8900, 10042, metric="acc", headline="acc")
    cell = compared(tmp_path / "run", {"hellaswag": made}).cell("HellaSwag")
    assert kinds(cell) == ["metric", "inferred"]
    assert "different metric: acc_norm published, acc in the run" in cell.verdict_text


def test_a_subset_is_not_the_split(tmp_path):
    cell = compared(tmp_path / "run", {"arc_challenge": scored(ARC, 95, 100)}).cell("ARC-Challenge")
    assert cell.verdict_text == (
        "not comparable, because the run covers only 100 of the split's 1172 documents"
    )
    assert cell.delta == pytest.approx(0.95 - 0.9497)


def test_documents_without_a_verdict_are_a_reason(tmp_path):
    made = Made([1.0] * 1172, failed=[3], record=record(ARC))
    cell = compared(tmp_path / "run", {"arc_challenge": made}).cell("ARC-Challenge")
    assert kinds(cell)[:1] == ["no_score"]
    assert cell.measured is None


def test_stand_in_data_are_named_by_their_fingerprint(tmp_path):
    fields = record("nemotron_h/hellaswag")
    fields["data"]["train"]["fingerprint"] = (
        "77b36158352ca260f4086ed3758e05dc51e3c3f1cd68674f9b2d5d4a145da972"
    )
    made = Made([1.0] * 8937 + [0.0] * 1105, metric="acc_norm", record=fields)
    found = compared(tmp_path / "run", {"hellaswag": made}, accept_inferred=True).cell("HellaSwag")
    assert found.verdict_text == "not comparable, because split 'train' is a stand-in (reconstructed_train)"


def test_other_rows_than_the_pinned_are_named(tmp_path):
    fields = record(ARC)
    fields["data"]["test"]["fingerprint"] = "0" * 64
    made = Made([1.0] * 1172, record=fields)
    cell = compared(tmp_path / "run", {"arc_challenge": made}).cell("ARC-Challenge")
    assert kinds(cell) == ["data"]


def test_what_is_inferred_or_open_counts_only_on_request(tmp_path):
    made = {
        "hellaswag": scored("nemotron_h/hellaswag", 8930, 10042, metric="acc_norm"),
        "mmlu": scored("nemotron_h/mmlu", 11800, 14042),
    }
    folder = fabricate(tmp_path / "run", made)
    strict = compare_with_card(folder, "nemotron-h-56b")
    assert kinds(strict.cell("HellaSwag")) == ["inferred"]
    assert kinds(strict.cell("MMLU")) == ["undecided", "undecided"]
    accepted = compare_with_card(folder, "nemotron-h-56b", accept_inferred=True)
    assert {accepted.cell("HellaSwag").verdict, accepted.cell("MMLU").verdict} == {"agrees"}
    assert "Inferred and open settings of the published numbers were treated as stated." in accepted.notes


def test_what_the_publication_does_not_state_stays_a_reason(tmp_path):
    made = {"arc_challenge": scored(ARC, 900, 1172)}
    cell = compared(
        tmp_path / "run", made, "olmo-2-7b", model="allenai/OLMo-2-1124-7B", accept_inferred=True
    ).cell("ARC-Challenge")
    assert kinds(cell) == ["unstated"]


def test_of_several_tasks_the_nearest_is_taken(tmp_path):
    made = {"a": scored(ARC, 500, 1172, shots=0, name="a"), "b": scored(ARC, 1110, 1172, name="b")}
    assert compared(tmp_path / "run", made).cell("ARC-Challenge").task == "b"


def test_a_missing_task_is_named_with_the_address_that_would_do(tmp_path):
    found = compared(tmp_path / "run", {"arc_challenge": scored(ARC, 1110, 1172)})
    assert found.cell("GSM8K").verdict_text == (
        "not comparable, because the run has no task gsm8k (nemotron_h/gsm8k reproduces it)"
    )


def test_the_runs_own_model_is_taken_from_a_card_of_several(tmp_path):
    model = ModelRecord(
        id="Qwen/Qwen2.5-7B", revision=None, weights_sha256="0", tokenizer_sha256="1", numerics="test"
    )
    run = fabricate(tmp_path / "run", {"arc_challenge": scored(ARC, 800, 1172)}, model=model)
    found = compare_with_card(run, "olmo-2-7b")
    assert (found.model, len(found.cells)) == ("Qwen/Qwen2.5-7B", 10)
    other = fabricate(tmp_path / "other", {"arc_challenge": scored(ARC, 800, 1172)})
    with pytest.raises(UserError, match="choose a model with --model"):
        compare_with_card(other, "olmo-2-7b")
    with pytest.raises(UserError, match="Did you mean Qwen/Qwen2"):
        compare_with_card(other, "olmo-2-7b", model="Qwen/Qwen2.5-8B")


def test_tables_show_each_number_as_printed(tmp_path):
    found = compared(tmp_path / "run", {"arc_challenge": scored(ARC, 1110, 1172)})
    text = card_markdown(found)
    assert "| ARC-Challenge | arc_challenge | acc | 94.97 | 94.71 | -0.26 |" in text
    assert "| HellaSwag | — | — | 89.00 | — | — | — | — | not comparable, because" in text
    assert card_table(found).row_count == 14
    assert len(found.to_pandas()) == 14


@pytest.mark.parametrize(("p", "n"), [(0.95, 1172), (0.6, 164), (0.5, 500)])
def test_the_delta_interval_covers_its_level(p, n):
    """Both scores drawn around one truth, the published one rounded: the delta's interval holds 0."""
    draw = np.random.default_rng(0)
    pairs = zip(draw.binomial(n, p, 1500) / n, draw.binomial(n, p, 1500) / n, strict=True)
    held = 0
    for measured, other in pairs:
        printed = round(other, 3)
        here, there = published_interval(measured, 0, n), published_interval(printed, 0.0005, n)
        low, high = delta_interval(measured, here, printed, there)
        held += low <= 0 <= high
    assert 0.935 <= held / 1500 <= 0.975


def test_rounding_alone_widens_by_its_uniform_error():
    low, high = published_interval(0.31, 0.005, None)
    assert (high - low) / 2 == pytest.approx(1.96 * 0.005 / math.sqrt(3), rel=1e-4)
