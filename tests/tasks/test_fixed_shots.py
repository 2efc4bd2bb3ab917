"""The fixed shots of recipe `evalsuite` are those that the documented rule chooses."""

import pytest

from evalsuite.registry.registry import Registry
from tests.golden.golden import SHARED, needs_shared
from tests.tasks.fixed_shots import TASKS, chosen


def test_every_fixed_draw_of_the_recipe_is_chosen_by_the_rule():
    registry = Registry.load()
    fixed = {
        task
        for recipe, task, form in registry.forms()
        if recipe == "evalsuite" and registry.spec(recipe, task, form).shots.draw == "fixed"
    }
    assert fixed == set(TASKS)


@needs_shared
@pytest.mark.parametrize("name", TASKS)
def test_the_rule_chooses_the_rows_of_every_form(name):
    registry = Registry.load()
    rows = tuple(chosen(registry.tasks[name], SHARED))
    for recipe, task, form in registry.forms():
        if (recipe, task) == ("evalsuite", name):
            assert registry.spec(recipe, task, form).shots.rows == rows
