"""Suites: their files, members and means."""

import pytest
import yaml

from evalsuite.errors import UnknownName, UserError
from evalsuite.prompting.recipes import recipes_in
from evalsuite.prompting.suites import SuiteSpec
from evalsuite.registry.registry import Registry
from tests.registry.test_registry import SPEC, task

NAMES = ("one", "two", "three", "four")
NESTED = {
    "version": 1,
    "title": "a mean of means",
    "source": {"status": "ours"},
    "members": ["one", "pair"],
    "groups": {"pair": ["two", "trio"], "trio": ["three", "four"]},
    "means": {
        "all": {},
        "pair": {"of": ["pair"]},
        "less": {"without": ["three", "four"]},
        "centred": {"baselines": {"one": 0.25, "two": 0.5, "three": 0.0, "four": 0.2}},
    },
    "same_documents": [["three", "four"]],
}
LIST = {"version": 2, "title": "a list", "source": {"status": "ours"}, "members": ["two", "other/one@3"]}


@pytest.fixture
def registry(tmp_path):
    for recipe in ("mine", "other"):
        folder = tmp_path / recipe
        (folder / "suites").mkdir(parents=True)
        (folder / "recipe.yaml").write_text(f"title: {recipe}\n", "utf-8")
        for name in NAMES:
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(SPEC), "utf-8")
    suites = tmp_path / "mine" / "suites"
    for file, fields in (("mine", NESTED), ("mine.500", LIST), ("list", LIST)):
        (suites / f"{file}.yaml").write_text(yaml.safe_dump(fields, sort_keys=False), "utf-8")
    return Registry([task(name) for name in NAMES], recipes_in(tmp_path))


def shares(registry, name, mean):
    [found] = [one for one in registry.suites.named(name).means if one.name == mean]
    return {term.task: term.share for term in found.terms}


def test_a_suite_has_the_name_of_its_file_and_recipe(registry):
    assert registry.suites.names() == ["mine/list", "mine:500", "mine"]


def test_a_suite_selects_its_members_in_order_and_once(registry):
    def addresses(*texts):
        return [one.name for one in registry.select(texts)]

    assert addresses("mine") == ["mine/one", "mine/two", "mine/three", "mine/four"]
    assert addresses("mine/list") == ["mine/two", "other/one@3"]
    assert addresses("mine/two", "mine/list", "mine:500") == ["mine/two", "other/one@3"]
    assert [suite.name for suite in registry.suites.among(["mine/two", "mine", "mine"])] == ["mine"]


def test_a_group_counts_once_in_a_mean(registry):
    assert shares(registry, "mine", "all") == {
        "mine/one": 1 / 2,
        "mine/two": 1 / 4,
        "mine/three": 1 / 8,
        "mine/four": 1 / 8,
    }
    assert shares(registry, "mine", "pair") == {"mine/two": 1 / 2, "mine/three": 1 / 4, "mine/four": 1 / 4}


def test_a_group_without_members_left_has_no_share(registry):
    assert shares(registry, "mine", "less") == {"mine/one": 1 / 2, "mine/two": 1 / 2}


def test_terms_have_baselines_and_the_name_of_shared_documents(registry):
    terms = registry.suites.named("mine").means[3].terms
    assert [term.baseline for term in terms] == [0.25, 0.5, 0.0, 0.2]
    assert [term.shared for term in terms] == ["", "", "three", "three"]


def test_the_identity_covers_members_and_means_but_no_title(registry):
    first = registry.suites.named("mine/list")
    titled = type(first)(first.spec.model_copy(update={"title": "other"}), first.tasks, first.means)
    longer = type(first)(first.spec, first.tasks | {"one": "mine/one:cloze@0"}, first.means)
    assert first.sha256 == titled.sha256 != longer.sha256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mine/lst", "Did you mean list"),
        ("mind", "Did you mean mine"),
        ("mine:50", "Unknown suite 'mine:50'. Did you mean mine:500"),
        ("mine@5", "has its own numbers of shots"),
    ],
)
def test_a_name_that_is_no_suite_is_refused_with_the_nearest(registry, text, message):
    with pytest.raises(UserError, match=message):
        registry.select([text])


def test_a_suite_takes_no_other_shots(registry):
    with pytest.raises(UserError, match="leave out --shots"):
        registry.select(["mine"], shots=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": ["one", "one"]}, "'one' is given twice"),
        ({"groups": {"pair": ["two", "pair"]}}, "'pair' contains itself"),
        ({"means": {"all": {"of": ["five"]}}}, "mean 'all' names 'five'"),
        ({"means": {"all": {"baselines": {"one": 0.5}}}}, "no baseline for two, three, four"),
        ({"means": {"all": {"without": list(NAMES)}}}, "has no member"),
        ({"same_documents": [["one", "six"]]}, "names 'six'"),
    ],
)
def test_an_inconsistent_suite_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SuiteSpec(**{"recipe": "mine", "name": "mine", **NESTED, "means": {}, **change})


def test_a_member_that_is_no_task_names_the_suite(registry, tmp_path):
    bad = tmp_path / "mine" / "suites" / "bad.yaml"
    bad.write_text(yaml.safe_dump(LIST | {"members": ["tow"]}), "utf-8")
    fresh = Registry([task(name) for name in NAMES], recipes_in(tmp_path))
    with pytest.raises(UserError, match=r"Suite 'mine/bad': Unknown task 'tow'\. Did you mean two"):
        fresh.select(["mine/bad"])
    bad.write_text(yaml.safe_dump(LIST | {"members": ["mine/*"]}), "utf-8")
    fresh = Registry([task(name) for name in NAMES], recipes_in(tmp_path))
    with pytest.raises(UserError, match="stands for 4 tasks"):
        fresh.select(["mine/bad"])


def test_every_suite_of_the_package_is_valid():
    registry = Registry.load()
    for name in registry.suites.names():
        suite = registry.suites.named(name)
        for mean in suite.means:
            assert sum(term.share for term in mean.terms) == pytest.approx(1)
        recipe, slash, task_name = name.partition("/")
        assert not slash or (recipe, task_name) not in {(r, t) for r, t, _ in registry.forms()}
        assert name not in registry.tasks


def test_unknown_names_are_errors_of_names(registry):
    with pytest.raises(UnknownName):
        registry.select(["mine:5"])
