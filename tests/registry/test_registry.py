from pathlib import Path

import pytest
import yaml

from evalsuite.data import DatasetRef
from evalsuite.errors import UnknownName, UserError
from evalsuite.prompting.recipes import recipes_in
from evalsuite.prompting.spec import PromptSpec
from evalsuite.registry.registry import Registry
from evalsuite.task import Task

SPEC = {
    "version": 1,
    "source": {"status": "ours"},
    "format": "cloze",
    "question": "{{ stem }}",
    "shots": {"count": 0, "split": "train"},
    "scorer": "choice",
    "metrics": ["acc"],
}
RECIPES = {
    "nemotron_h": {"mmlu": {}, "arc_easy": {"format": "letters"}, "arc_hard": {}},
    "nemotron_3": {"mmlu": {}, "lambada": {}},
    "lm_eval": {"mmlu": {}, "piqa": {}, "boolq": {}, "lambada": {}},
    "olmes": {"mmlu": {}, "mmlu.letters": {"format": "letters"}, "boolq": {}},
}


def task(name: str, *prompts: PromptSpec) -> Task:
    ref = DatasetRef(name, ("q",))
    return Task(name, name, ref, "test", lambda row: row, None, 1, prompts=prompts)


def inline(task: str, recipe: str = "mine", **fields) -> PromptSpec:
    return PromptSpec(**{**SPEC, "recipe": recipe, "task": task, **fields})


TASKS = [task(name) for name in ("mmlu", "arc_easy", "arc_hard", "lambada", "piqa", "boolq", "alone")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for recipe, specs in RECIPES.items():
        (tmp_path / recipe).mkdir()
        (tmp_path / recipe / "recipe.yaml").write_text(f"title: {recipe}\n", "utf-8")
        for name, fields in specs.items():
            (tmp_path / recipe / f"{name}.yaml").write_text(yaml.safe_dump({**SPEC, **fields}), "utf-8")
    return tmp_path


@pytest.fixture
def registry(folder: Path) -> Registry:
    return Registry(TASKS, recipes_in(folder))


def names(registry: Registry, *texts: str, **options) -> list[str]:
    return [selected.name for selected in registry.select(texts, **options)]


def addresses(registry: Registry, *texts: str, **options) -> list[str]:
    return [selected.address for selected in registry.select(texts, **options)]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mmlu", "nemotron_h/mmlu:cloze@0"),
        ("lambada", "nemotron_3/lambada:cloze@0"),
        ("piqa", "lm_eval/piqa:cloze@0"),
        ("olmes/mmlu", "olmes/mmlu:cloze@0"),
        ("olmes/mmlu:letters", "olmes/mmlu:letters@0"),
        ("olmes/mmlu@3", "olmes/mmlu:cloze@3"),
        ("lm_eval/boolq", "lm_eval/boolq:cloze@0"),
    ],
)
def test_an_address_finds_its_spec(registry, text, address):
    assert addresses(registry, text) == [address]


def test_a_bare_name_in_several_recipes_of_which_none_is_a_default_is_an_error_that_lists_them(registry):
    with pytest.raises(
        UserError, match=r"in the recipes lm_eval, olmes; choose one, for example lm_eval/boolq"
    ):
        registry.select(["boolq"])


def test_a_task_without_any_spec_is_an_error(registry):
    with pytest.raises(UserError, match="'alone' has no prompt spec in any recipe"):
        registry.select(["alone"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mmlu", "mmlu"),
        ("nemotron_h/mmlu", "mmlu"),
        ("nemotron_h/mmlu:cloze@0", "mmlu"),
        ("mmlu@5", "mmlu@5"),
        ("lm_eval/mmlu", "lm_eval/mmlu"),
        ("lm_eval/mmlu@25", "lm_eval/mmlu@25"),
        ("lm_eval/piqa", "piqa"),
        ("olmes/boolq", "olmes/boolq"),
        ("olmes/mmlu:letters@2", "olmes/mmlu:letters@2"),
    ],
)
def test_the_name_is_the_shortest_address_that_means_the_same(registry, text, name):
    assert names(registry, text) == [name]
    assert addresses(registry, name) == addresses(registry, text)


@pytest.mark.parametrize("shots", [None, 0, 5])
def test_the_address_with_everything_spelled_out_means_the_same(registry, shots):
    for selected in registry.select(["lm_eval/*", "olmes/mmlu:letters"], shots=shots):
        [again] = registry.select([selected.address])
        assert (again.name, again.spec) == (selected.name, selected.spec)


def test_addresses_that_mean_the_same_are_one_task_and_order_is_kept(registry):
    assert names(registry, "piqa", "mmlu", "nemotron_h/mmlu:cloze", "lm_eval/piqa@0") == ["piqa", "mmlu"]


def test_patterns_stand_for_the_tasks_of_one_recipe(registry):
    assert names(registry, "nemotron_h/arc_*") == ["arc_easy", "arc_hard"]
    assert names(registry, "arc_*@2", recipe="nemotron_h") == ["arc_easy@2", "arc_hard@2"]
    assert names(registry, "olmes/*") == ["olmes/boolq", "olmes/mmlu"]


def test_a_pattern_without_a_recipe_and_one_that_fits_nothing_are_errors(registry):
    with pytest.raises(UserError, match=r"'arc_\*' needs a recipe, for example nemotron_h/arc_\*"):
        registry.select(["arc_*"])
    with pytest.raises(UserError, match=r"No task of recipe 'olmes' matches 'x\*'; it has boolq, mmlu"):
        registry.select(["olmes/x*"])


def test_the_recipe_option_is_that_of_bare_names_alone(registry):
    assert addresses(registry, "mmlu", "lm_eval/piqa", recipe="olmes") == [
        "olmes/mmlu:cloze@0",
        "lm_eval/piqa:cloze@0",
    ]


def test_shots_are_the_address_s_then_the_option_s_then_the_spec_s(registry):
    chosen = registry.select(["mmlu@2", "piqa"], shots=4)
    assert [selected.spec.shots.count for selected in chosen] == [2, 4]
    assert registry.select(["piqa"])[0].spec.shots.count == 0


def test_another_number_of_shots_is_another_spec_and_validated_like_one(registry, folder):
    assert registry.select(["mmlu@2"])[0].spec.sha256 != registry.select(["mmlu"])[0].spec.sha256
    lone = inline("lone", shots={"count": 0})
    with pytest.raises(UserError, match=r"mine/lone cannot have 2 shots: shots need a split or exemplars"):
        Registry([task("lone", lone)], []).select(["lone@2"])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("mmul", UnknownName, r"Unknown task 'mmul'\. Did you mean mmlu\?"),
        ("nemotron_h/mmul", UnknownName, "Did you mean mmlu"),
        ("zzzzzz", UnknownName, r"Unknown task 'zzzzzz'\. See 'evalsuite list tasks'"),
        ("nemotronh/mmlu", UnknownName, r"Unknown recipe 'nemotronh'\. Did you mean nemotron_h"),
        ("nemotronh/*", UnknownName, "Unknown recipe 'nemotronh'"),
        ("mmlu:leters", UnknownName, r"Unknown format 'leters'\. Did you mean letters\?"),
        ("mmlu:letters", UserError, r"nemotron_h/mmlu has no format 'letters'; it has cloze"),
        ("olmes/piqa", UserError, r"Recipe 'olmes' has no task 'piqa'; it is in lm_eval"),
        ("olmes/alone", UserError, r"no task 'alone', and no other recipe has it"),
        ("mm lu", UserError, "not a task address"),
    ],
)
def test_a_name_that_nobody_knows_is_an_error_with_the_nearest(registry, text, error, message):
    with pytest.raises(error, match=message):
        registry.select([text])


def test_an_unknown_recipe_option_and_no_task_at_all_are_errors(registry):
    with pytest.raises(UnknownName, match="Did you mean olmes"):
        registry.select(["mmlu"], recipe="olme")
    with pytest.raises(UserError, match="No task given"):
        registry.select([])


def test_specs_may_stand_inside_a_task_and_the_first_is_the_default_form():
    mine = task("mine_quiz", inline("mine_quiz"), inline("mine_quiz", format="letters"))
    registry = Registry([mine], [])
    assert registry.recipe_names() == ["mine"]
    assert names(registry, "mine_quiz", "mine_quiz:letters") == ["mine_quiz", "mine_quiz:letters"]


def test_a_spec_inside_a_task_must_be_of_that_task():
    with pytest.raises(UserError, match="Task 'quiz' has a prompt spec for 'riddle'"):
        Registry([task("quiz", inline("riddle"))], [])


def test_a_name_that_is_defined_twice_is_an_error(folder):
    with pytest.raises(UserError, match="task 'mmlu' is defined twice"):
        Registry([task("mmlu"), task("mmlu")], [])
    with pytest.raises(UserError, match="recipe 'lm_eval' is defined twice"):
        Registry([], [*recipes_in(folder), *recipes_in(folder)])
    twice = (inline("quiz", format="letters"),) * 2
    with pytest.raises(UserError, match="prompt spec 'mine/quiz/letters' is defined twice"):
        Registry([task("quiz", inline("quiz"), *twice)], [])


def test_a_task_that_counts_by_its_better_form_is_asked_in_all_forms_unless_one_is_named(folder):
    (folder / "olmes" / "recipe.yaml").write_text("title: olmes\nscore: best_form\n", "utf-8")
    registry = Registry(TASKS, recipes_in(folder))
    assert names(registry, "olmes/mmlu") == ["olmes/mmlu", "olmes/mmlu:letters"]
    assert names(registry, "olmes/*", shots=2) == ["olmes/boolq@2", "olmes/mmlu@2", "olmes/mmlu:letters@2"]
    assert names(registry, "olmes/mmlu:letters") == ["olmes/mmlu:letters"]
    assert {one.best_of for one in registry.select(["olmes/mmlu"])} == {"olmes/mmlu"}
    assert [one.best_of for one in registry.select(["olmes/mmlu:letters@1"])] == ["olmes/mmlu@1"]
    assert [one.best_of for one in registry.select(["olmes/boolq", "lm_eval/mmlu"])] == ["", ""]


def test_no_pattern_selects_a_task_that_its_recipe_gives_by_name_only(folder):
    (folder / "nemotron_3" / "recipe.yaml").write_text("title: three\nby_name_only: [mmlu]\n", "utf-8")
    registry = Registry(TASKS, recipes_in(folder))
    assert names(registry, "nemotron_3/*") == ["lambada"]
    assert names(registry, "nemotron_3/mmlu") == ["nemotron_3/mmlu"]
