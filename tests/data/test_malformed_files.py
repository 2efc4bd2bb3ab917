"""Files that somebody else wrote: read, or refused in one sentence, whatever shape they have.

A valid file has one of its nodes replaced by a value of another type.
"""

import copy
import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.files import context_window, read_config
from evalsuite.data.found import NotHere
from evalsuite.data.mirror import split_files
from evalsuite.decisions.gate.policy import read_policy
from evalsuite.errors import UserError
from evalsuite.results.runlog import read_run

OTHER = st.sampled_from(
    [
        None,
        True,
        5,
        -1.5,
        "",
        "x",
        "/abs",
        "../up",
        "a/**b",
        "**",
        "\x00",
        [],
        [1],
        ["a", None],
        {},
        {"a": 5},
        [[[]]],
    ]
)
HEADER = {
    "configs": [
        {"config_name": "plain", "data_files": [{"split": "test", "path": "data/test-*"}]},
        {"config_name": "other", "data_dir": "elsewhere"},
    ]
}
CONFIG = {
    "model_type": "llama",
    "max_position_embeddings": 128,
    "text_config": {"model_type": "llama", "hidden_size": 8},
    "architectures": ["LlamaForCausalLM"],
}
POLICY = {"alpha": 0.05, "default": {"margin": 0.02, "tier": "critical"}, "tasks": {"mmlu": {"margin": 0.01}}}
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def places(node, at=()):
    """Every path into a document."""
    yield at
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*at, key))


def replaced(document, at, value):
    """The document with another value in one place."""
    if not at:
        return value
    found = copy.deepcopy(document)
    parent = found
    for key in at[:-1]:
        parent = parent[key]
    parent[at[-1]] = value
    return found


def broken(document):
    return st.builds(replaced, st.just(document), st.sampled_from(list(places(document))), OTHER)


@QUICK
@given(header=broken(HEADER))
@example(header={"configs": [{"config_name": ["a"] * 3}]})
def test_a_readme_of_any_shape_names_files_or_is_a_sentence(tmp_path, header):
    (tmp_path / "README.md").write_text(f"---\n{json.dumps(header)}\n---\n", "utf-8")
    for config in ("plain", "other"):
        with suppress(UserError, NotHere):
            split_files(tmp_path, config, "test")


def test_a_readme_that_is_no_utf8_is_a_sentence(tmp_path):
    (tmp_path / "README.md").write_bytes(b"---\n\xff\xfe\n---")
    with pytest.raises(UserError, match="is not valid"):
        split_files(tmp_path, "plain", "test")


@QUICK
@given(config=broken(CONFIG))
@example(config=None)
def test_a_model_configuration_of_any_shape_is_read_or_a_sentence(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    files = ModelFiles("m", tmp_path)
    with suppress(UserError):
        assert isinstance(read_config(files).get("model_type", ""), str | None)
        context_window(files)


@pytest.mark.parametrize("text", ["[" * 100_000, "", "nan", "{", '{"a": 1}}'])
def test_a_model_configuration_that_is_no_json_is_a_sentence(tmp_path, text):
    (tmp_path / "config.json").write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"config\.json"):
        read_config(ModelFiles("m", tmp_path))


@QUICK
@given(policy=broken(POLICY))
def test_a_policy_of_any_shape_is_read_or_a_sentence(tmp_path, policy):
    path = tmp_path / "policy.yaml"
    path.write_text(json.dumps(policy), "utf-8")
    with suppress(UserError):
        read_policy(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "", "5", "null", '{"schema_version": 1}', "\x00", "NaN"])
def test_a_run_log_of_any_shape_is_a_sentence(tmp_path, text):
    (tmp_path / "run.json").write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"run\.json"):
        read_run(tmp_path)
