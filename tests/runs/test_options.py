"""The options of a run are one value, which the Python interface and the command line share."""

import inspect
from dataclasses import fields

import pytest

import evalsuite
from evalsuite import api
from evalsuite.cli.run import run as command
from evalsuite.errors import UnknownName, UserError
from evalsuite.results.run_spec import RunSpec
from evalsuite.runs import execute
from evalsuite.runs.options import RunOptions

NAMES = {field.name for field in fields(RunOptions)}


def test_the_spec_of_a_run_has_no_field_that_the_options_lack():
    other = {"tasks", "suites", "model"}  # suites follow from the addresses
    names = {"configuration": "model_config"}  # pydantic reserves that name
    assert {names.get(name, name) for name in RunSpec.model_fields} - other <= NAMES


def test_the_command_line_has_an_option_for_each_field():
    other = {"tasks", "model", "plan_only", "as_json", "quiet", "verbose", "deterministic"}
    names = {"engine_arg": "engine_args", "no_smoke": "smoke"}
    parameters = inspect.signature(command).parameters
    assert {names.get(name, name) for name in parameters} == (NAMES | other)


def test_a_name_wins_over_the_value_and_the_rest_stays():
    options = RunOptions(limit=3, dtype="bfloat16").with_overrides({"limit": 5})
    assert (options.limit, options.dtype, options.seed) == (5, "bfloat16", 0)


def test_an_unknown_option_suggests_the_nearest():
    with pytest.raises(UnknownName, match=r"Unknown option 'shot'\. Did you mean shots"):
        evalsuite.run("mmlu", "gpt2", shot=5)


@pytest.fixture
def executed(monkeypatch, tmp_path):
    """What `run` hands on for execution; nothing is executed."""
    handed_on = []
    monkeypatch.setattr(execute, "execute", lambda *given, **more: handed_on.append(given))
    return handed_on


def test_the_value_and_the_names_ask_for_the_same_run(executed, tmp_path):
    asked = {
        "engine": "openai",
        "base_url": "http://localhost:1",
        "shots": 2,
        "sample": 7,
        "seed": 3,
        "bos": "never",
        "out": tmp_path / "run",
        "allow_failures": True,
        "data": tmp_path,
    }
    evalsuite.run("evalsuite/arc_easy", "m", **asked)
    evalsuite.run("evalsuite/arc_easy", "m", options=RunOptions(**asked))
    evalsuite.run(
        "evalsuite/arc_easy", "m", options=RunOptions(**{**asked, "shots": 5, "seed": 9}), shots=2, seed=3
    )
    first, *others = [(spec, execution) for spec, _, _, execution in executed]
    assert others == [first, first]
    spec, execution = first
    assert (spec.sample, spec.seed, spec.bos, spec.limit) == (7, 3, "never", None)
    assert spec.tasks[0].endswith("@2")
    assert (execution.folder, execution.data_dir, execution.allow_failures) == (
        tmp_path / "run",
        tmp_path,
        True,
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"limit": 0}, "--limit must be at least 1, not 0."),
        ({"limit": 1, "sample": 1}, "give one of them"),
        ({"out": ""}, "--out is empty"),
        ({"shard": "0/2", "store": "answers"}, "leave out --store"),
        ({"engine": "openai", "revision": "main"}, "knows its model by --model alone"),
    ],
)
def test_options_that_cannot_be_together_are_refused_by_name(wrong, message):
    options = {"engine": "openai", "base_url": "http://localhost:1", **wrong}
    with pytest.raises(UserError, match=message):
        evalsuite.run("evalsuite/arc_easy", "m", **options)


def test_a_plan_is_of_the_whole_run():
    with pytest.raises(UserError, match="counts the whole run"):
        api.plan("evalsuite/arc_easy", "m", shard="0/2")
