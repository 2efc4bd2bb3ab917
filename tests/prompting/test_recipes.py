import pytest
import yaml

from evalsuite.errors import UserError
from evalsuite.prompting.recipes import Recipe, builtin_recipes, recipes_in
from tests.prompting.specs import CLOZE

FIELDS = {name: value for name, value in CLOZE.items() if name not in ("recipe", "task")}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "recipe.yaml").write_text("title: ours\n", "utf-8")
    (tmp_path / "notes").mkdir()
    return tmp_path


def written(folder, name: str, fields: dict | str) -> Recipe:
    text = fields if isinstance(fields, str) else yaml.safe_dump(fields)
    (folder / "ours" / name).write_text(text, "utf-8")
    return next(recipes_in(folder))


def test_a_recipe_is_a_folder_with_a_recipe_file(folder):
    assert [recipe.name for recipe in recipes_in(folder)] == ["ours"]


def test_recipe_and_task_are_named_by_folder_and_file(folder):
    spec = written(folder, "quiz.yaml", FIELDS).load("quiz")
    assert (spec.recipe, spec.task) == ("ours", "quiz")


def test_a_second_form_is_named_after_its_format(folder):
    written(folder, "quiz.yaml", FIELDS)
    recipe = written(folder, "quiz.letters.yaml", FIELDS | {"format": "letters"})
    assert set(recipe.specs) == {("quiz", ""), ("quiz", "letters")}
    assert recipe.load("quiz", "letters").format == "letters"


def test_a_form_that_declares_another_format_is_an_error(folder):
    with pytest.raises(UserError, match=r"quiz\.letters\.yaml has format 'letters' in its name.*'cloze'"):
        written(folder, "quiz.letters.yaml", FIELDS).load("quiz", "letters")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (FIELDS | {"shot": 1}, r"quiz\.yaml, line \d+: unknown field 'shot'; did you mean 'shots'\?"),
        (
            FIELDS | {"shots": {"cuont": 1}},
            r"quiz\.yaml, line \d+: unknown field 'shots\.cuont'; did you mean 'count'\?",
        ),
        (FIELDS | {"version": 0}, r"quiz\.yaml, line \d+: 'version' is 0: "),
        (FIELDS | {"metrics": ["exact_match"]}, r"quiz\.yaml, line 1: metrics of scorer 'choice'"),
        ({"version": 1}, r"quiz\.yaml, line 1: the field 'source' is missing"),
        ("- a\n- b\n", r"quiz\.yaml must be a mapping"),
        ("", r"quiz\.yaml must be a mapping"),
        ("a: [", r"quiz\.yaml is not valid YAML"),
        ("version: 1\nversion: 2\n", r"quiz\.yaml, line 2: 'version' is given twice"),
        ("shots:\n  count: 1\n  count: 2\n", r"quiz\.yaml, line 3: 'count' is given twice"),
    ],
)
def test_a_spec_that_cannot_be_used_is_an_error_that_names_file_and_field(folder, fields, complaint):
    with pytest.raises(UserError, match=complaint):
        written(folder, "quiz.yaml", fields).load("quiz")


def test_a_recipe_file_with_an_unknown_key_is_an_error(folder):
    recipe = written(folder, "recipe.yaml", "title: ours\nauthor: me\n")
    with pytest.raises(
        UserError,
        match=r"recipe\.yaml, line 2: unknown field 'author'; (did you mean|the fields are title)",
    ):
        _ = recipe.info


def test_the_built_in_recipes_say_what_they_reproduce():
    recipes = {recipe.name: recipe for recipe in builtin_recipes()}
    assert {"lm_eval", "nemotron_h"} <= set(recipes)
    assert all(recipe.info.title and recipe.info.reference for recipe in recipes.values())
