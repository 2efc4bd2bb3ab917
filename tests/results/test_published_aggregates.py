"""Scores of groups come out as the publications compute them, from verdicts that are known one by one."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import pytest

from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.document import DocumentRequests
from evalsuite.requests.prepare import prepare
from evalsuite.results.aggregate import task_record
from evalsuite.results.runlog import TaskRecord
from evalsuite.types import Document, OpenAnswer, Prompt, Sample
from tests.golden.golden import SHARED, needs_shared

SIZES = {
    "algebra": 1187,
    "counting_and_prob": 474,
    "geometry": 479,
    "intermediate_algebra": 903,
    "num_theory": 540,
    "prealgebra": 871,
    "precalc": 546,
}
"""Problems of each subject of MATH."""
LEVEL_5 = {
    "algebra": 307,
    "counting_and_prob": 123,
    "geometry": 132,
    "intermediate_algebra": 280,
    "num_theory": 154,
    "prealgebra": 193,
    "precalc": 135,
}
RIGHT_LEVEL_5 = {
    "algebra": 178,
    "counting_and_prob": 46,
    "geometry": 32,
    "intermediate_algebra": 42,
    "num_theory": 52,
    "prealgebra": 84,
    "precalc": 20,
}
"""454 of 1324 right: the weighted score is the 35.19 of the 56B card, which no number of 1324 gives."""
EMPTY = Prompt(("",))


def recorded(address: str, verdicts: Mapping[str, list[tuple[dict, float]]], **subsets) -> TaskRecord:
    """The record of a task when each member's documents are (row, verdict)."""
    [selected] = Registry.load().select([address])
    selected = replace(selected, task=replace(selected.task, subsets={**selected.task.subsets, **subsets}))
    samples = [
        Sample(
            Document(0, f"{selected.spec.task}_{member}", place, row, OpenAnswer("", ("",)), member=member),
            EMPTY,
            0,
            "scored",
            metrics=dict.fromkeys(selected.spec.metrics, value),
        )
        for member, documents in verdicts.items()
        for place, (row, value) in enumerate(documents)
    ]
    prepared = PreparedTask(
        selected, "test", [sample.document for sample in samples], [[] for _ in samples], {}
    )
    asked = [DocumentRequests(EMPTY, 0, (), 0)] * len(samples)
    return task_record(prepared, asked, samples, tokens=0, seconds=0.0, allow_failures=False)


def math_verdicts() -> dict[str, list[tuple[dict, float]]]:
    """Level-5 problems come first in each subject; the tenth of all problems is in MATH-500."""
    return {
        subject: [
            (
                {"level": f"Level {5 if place < LEVEL_5[subject] else 3}", "tenth": place % 10 == 0},
                float(place < RIGHT_LEVEL_5[subject] or place >= LEVEL_5[subject]),
            )
            for place in range(size)
        ]
        for subject, size in SIZES.items()
    }


@pytest.fixture(scope="module")
def math() -> TaskRecord:
    return recorded("nemotron_h/math", math_verdicts(), math_500=lambda row: row["tenth"])


def weighted(right: Mapping[str, int], of: Mapping[str, int]) -> Fraction:
    """Subjects' means weighted by all their problems."""
    return sum(Fraction(SIZES[name] * right[name], of[name]) for name in SIZES) / sum(SIZES.values())


def test_math_is_the_mean_over_all_problems(math):
    right = sum(SIZES.values()) - sum(LEVEL_5.values()) + sum(RIGHT_LEVEL_5.values())
    assert math.metrics["exact_match"].value == pytest.approx(right / 5000, abs=1e-15)
    assert math.metrics["exact_match"].n == 5000


def test_math_level_5_as_published_weighs_subjects_by_all_their_problems(math):
    assert math.metrics["math_lvl5"].value == pytest.approx(
        float(weighted(RIGHT_LEVEL_5, LEVEL_5)), abs=1e-15
    )
    assert f"{100 * math.metrics['math_lvl5'].value:.2f}" == "35.19"
    assert not any(f"{100 * right / 1324:.2f}" == "35.19" for right in range(1325))
    assert math.metrics["math_lvl5_plain"].value == pytest.approx(454 / 1324, abs=1e-15)
    assert math.metrics["math_lvl5"].n == math.metrics["math_lvl5_plain"].n == 1324


def test_math_500_likewise(math):
    tenth = {name: range(0, size, 10) for name, size in SIZES.items()}
    right = {
        name: sum(place < RIGHT_LEVEL_5[name] or place >= LEVEL_5[name] for place in places)
        for name, places in tenth.items()
    }
    of = {name: len(places) for name, places in tenth.items()}
    assert math.metrics["math_500"].value == pytest.approx(float(weighted(right, of)), abs=1e-15)
    plain = sum(right.values()) / sum(of.values())
    assert math.metrics["math_500_plain"].value == pytest.approx(plain, abs=1e-15)


def test_the_error_of_a_weighted_score_adds_the_members_variances(math):
    variances = [
        (SIZES[name] / 5000) ** 2 * share * (1 - share) / (LEVEL_5[name] - 1)
        for name in SIZES
        for share in [RIGHT_LEVEL_5[name] / LEVEL_5[name]]
    ]
    assert math.metrics["math_lvl5"].stderr == pytest.approx(sum(variances) ** 0.5)


UNEQUAL = {"anatomy": [1.0] * 90 + [0.0] * 10, "law": [1.0] * 100 + [0.0] * 300}


@pytest.mark.parametrize("address", ["nemotron_h/mmlu", "nemotron_h/mmlu_generate", "nemotron_3/mmlu"])
def test_mmlu_is_the_mean_over_questions(address):
    verdicts = {member: [({}, value) for value in values] for member, values in UNEQUAL.items()}
    record = recorded(address, verdicts)
    assert record.metrics[record.headline].value == pytest.approx(190 / 500)
    assert {name.rpartition("_")[2] for name in record.subtasks} == set(UNEQUAL)


def test_tydiqa_is_the_plain_mean_over_languages():
    shares = {"ar": 61, "bn": 40, "fi": 55, "id": 48, "ko": 52, "ru": 37, "sw": 60}
    verdicts = {
        language: [({}, float(place < right)) for place in range(100)] for language, right in shares.items()
    }
    verdicts["ar"] *= 9  # far more questions, no more weight
    record = recorded("nemotron_3/tydiqa_goldp", verdicts)
    assert record.metrics["exact_match"].value == pytest.approx(sum(shares.values()) / 700)


@needs_shared
def test_the_subsets_of_math_are_the_published_ones():
    [selected] = Registry.load().select(["nemotron_h/math"])
    documents = prepare(selected, data_dir=SHARED).documents
    assert {name: sum(d.member == name for d in documents) for name in SIZES} == SIZES
    level_5 = selected.task.subsets["level_5"]
    assert {name: sum(d.member == name and level_5(d.row) for d in documents) for name in SIZES} == LEVEL_5
    assert sum(selected.task.subsets["math_500"](document.row) for document in documents) == 500
    [listed] = Registry.load().select(["evalsuite/math_500"])
    problems = {document.row["problem"] for document in prepare(listed, data_dir=SHARED).documents}
    assert {d.row["problem"] for d in documents if selected.task.subsets["math_500"](d.row)} == problems
