"""What is told of recipes comes from their specs."""

from pathlib import Path

import pytest

from evalsuite.errors import UserError
from evalsuite.registry.catalog import STATUSES, document, recipe_specs, spec_row
from evalsuite.registry.registry import Registry

DOCS = Path(__file__).parents[2] / "docs" / "recipes.md"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def test_the_document_is_what_the_specs_say(registry):
    assert DOCS.read_text("utf-8") == document(registry), "run `make docs`"


def test_every_spec_says_where_it_comes_from(registry):
    for recipe in registry.recipe_names():
        for selected in recipe_specs(registry, recipe):
            row = spec_row(selected)
            assert row["status"] in STATUSES
            assert row["reference"] or row["status"] == "ours", selected.address
            assert row["notes"] or row["status"] != "inferred", selected.address


def test_all_cells_of_both_cards_have_a_spec(registry):
    assert {one.spec.task for one in recipe_specs(registry, "nemotron_h")} >= {
        *("arc_challenge", "hellaswag", "winogrande", "commonsense_qa", "mbpp", "mbpp_plus", "humaneval"),
        *("humaneval_plus", "gsm8k", "math", "mmlu_pro", "mmlu", "mmlu_generate"),
    }
    assert {one.spec.task for one in recipe_specs(registry, "nemotron_3")} >= {
        *(
            "mmlu",
            "winogrande",
            "hellaswag",
            "arc_easy",
            "tydiqa_goldp",
            "lambada_openai",
            "lambada_standard",
        ),
        *("webqs", "piqa", "gsm8k"),
    }


def test_a_pattern_with_a_form_means_the_tasks_that_are_asked_so(registry):
    chosen = registry.select(["evalsuite/*:gold"])
    assert {one.spec.format for one in chosen} == {"gold"}
    assert "winogrande" not in {one.spec.task for one in chosen}
    with pytest.raises(UserError, match="has no format 'generate'"):
        registry.select(["evalsuite/wino*:generate"])


def test_what_a_recipe_s_tasks_count_for_is_known_of_each(registry):
    for one in registry.select(["evalsuite/*", "nemotron_h/*", "olmes/*"]):
        assert one.averaged == (one.spec.recipe == "evalsuite")
        assert bool(one.best_of) == (one.spec.recipe == "olmes")
