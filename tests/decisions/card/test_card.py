"""The registry of published numbers."""

import json
from collections import Counter
from pathlib import Path

import pytest

from evalsuite.decisions.card.card import card_names, load_card, read_card
from evalsuite.errors import UserError
from evalsuite.registry.registry import Registry

REFERENCE = Path(__file__).parents[4] / "shared" / "reference" / "cards.json"

MINIMAL = """\
title: A card
kind: card
source: the card
digits: 1
models: [a/b]
cells:
  - {benchmark: Quiz, status: stated, setting: {shots: 5}, values: {a/b: 12.3}}
"""

COUNTS = {
    "ARC-Challenge": (1172, 1113, 1040),
    "HellaSwag": (10042, 8937, 8358),
    "Winogrande": (1267, 1070, 1020),
    "CommonsenseQA": (1221, 1059, 961),
    "MBPP (sanitized)": (257, 200, 168),
    "MBPP+": (378, 254, 225),
    "HumanEval": (164, 99, 96),
    "HumanEval+": (164, 89, 91),
    "GSM8K": (1319, 1236, 1149),
    "MATH": (5000, 2971, 2326),
}
"""Documents, and right answers of the 56B and the 8B model: only these counts give the printed numbers."""


@pytest.mark.parametrize("name", card_names())
def test_every_card_is_valid_and_its_addresses_mean_its_settings(name):
    registry = Registry.load()
    for cell in load_card(name).cells:
        if cell.address:
            spec = registry.select([cell.address])[0].spec
            assert (spec.task in cell.task, spec.format in cell.setting.form) == (True, True)
            assert spec.shots.count in cell.setting.shots
            assert (spec.split or registry.tasks[spec.plugin].split) in cell.setting.split
            assert set(cell.setting.metric) & {*spec.metrics, *spec.aggregates}
            if not (spec.members or set(cell.setting.metric) & set(spec.aggregates)):
                pinned = registry.tasks[spec.plugin].data.splits[cell.setting.split[0]]
                assert pinned.rows == cell.setting.documents


@pytest.mark.parametrize(("name", "place"), [("nemotron-h-56b", 1), ("nemotron-h-8b", 2)])
def test_printed_numbers_are_counts_of_right_answers(name, place):
    card = load_card(name)
    assert len(card.cells) == 14
    for cell, value in card.of_model(card.models[0]):
        if cell.benchmark in COUNTS:
            counts = COUNTS[cell.benchmark]
            assert cell.setting.documents == counts[0]
            assert value == round(100 * counts[place] / counts[0], card.digits_of(cell))


def test_what_a_publication_leaves_open_is_left_open():
    card = {cell.benchmark: cell for cell in load_card("nemotron-h-56b").cells}
    assert card["MMLU"].setting.form == ("letters", "generate")
    assert card["HellaSwag"].inferred == ("metric",)
    assert load_card("olmo-2-7b").cells[0].setting.shots == ()


LATER = {
    "nemotron-3-nano-30b",
    "nemotron-3-super",
    "nemotron-3-super-docs",
    "nemotron-3-ultra",
    "nemotron-3.5-lightning",
}
"""Cards with numbers that were collected after the records."""


@pytest.mark.skipif(not REFERENCE.is_file(), reason="the collected records are not here")
def test_every_collected_record_is_in_the_registry():
    records = json.loads(REFERENCE.read_text("utf-8"))["records"]
    collected = Counter((one["benchmark"], float(one["value"])) for one in records)
    registered = {
        name: Counter(
            (cell.benchmark, value) for cell in load_card(name).cells for value in cell.values.values()
        )
        for name in card_names()
    }
    every = sum(registered.values(), Counter())
    assert not collected - every
    assert not (every - collected) - sum((registered[name] for name in LATER), Counter())


BASE_SUITE = {
    "nemotron-3-nano-30b": 19,
    "nemotron-3-super": 15,
    "nemotron-3-super-docs": 29,
    "nemotron-3-ultra": 21,
    "nemotron-3.5-lightning": 11,
}
"""Printed rows of the cards of NVIDIA's base suite since Nemotron-3."""


@pytest.mark.parametrize("name", BASE_SUITE)
def test_every_printed_row_of_the_base_suite_has_its_address(name):
    card = load_card(name)
    rows = [cell for cell, _ in card.of_model(card.models[0])]
    assert len(rows) == BASE_SUITE[name]
    without = {cell.benchmark for cell in rows if not cell.address.startswith("nemotron_base/")}
    assert all("RULER" in one for one in without - {"HumanEval+", "MBPP+"})


def test_a_misspelt_name_lists_near_ones():
    with pytest.raises(UserError, match="Did you mean nemotron-h-56b"):
        load_card("nemotron-h-56")


def test_a_card_of_ones_own_is_read_by_path(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(MINIMAL, "utf-8")
    card = load_card(str(file))
    assert (card.name, card.cells[0].setting.shots, card.of_model("a/b")[0][1]) == ("mine", (5,), 12.3)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("shots: 5", "shot: 5", "unknown field 'cells.0.setting.shot'; did you mean 'shots'?"),
        ("12.3", "112.3", "are outside 0 to 100"),
        ("models: [a/b]", "models: [c/d]", "models must list a/b"),
        (
            "status: stated",
            "status: stated, inferred: [shot]",
            "inferred has unknown fields of a setting: shot",
        ),
        ("title: A card", "title: [", "is not valid YAML"),
        ("title: A card", "title: A card\ntitle: B", "'title' is given twice"),
        (MINIMAL, "- 1", "must be a mapping"),
    ],
)
def test_an_invalid_card_is_one_sentence_with_file_and_field(tmp_path, old, new, said):
    file = tmp_path / "mine.yaml"
    file.write_text(MINIMAL.replace(old, new), "utf-8")
    with pytest.raises(UserError, match=r"mine\.yaml") as error:
        read_card(file)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_card(str(tmp_path / "none.yaml"))
