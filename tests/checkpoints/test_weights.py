import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsuite.checkpoints import ModelFiles, weights_digest
from evalsuite.checkpoints.weights import FORMS, find_weights, weight_files
from evalsuite.errors import ModelError
from tests.checkpoints.conftest import safetensors

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
PARTS = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
UNRELATED = (
    "consolidated.safetensors",
    "value_head.safetensors",
    "adapter_model.safetensors",
    "model.fp16.safetensors",
    "training_args.bin",
    "optimizer.bin",
    "notes.txt",
)


def fill(folder, forms, unrelated=()):
    """A model folder with these forms of weights, each file with its own content."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    for form, parts in zip(FORMS, ((), SHARDS, (), PARTS), strict=True):
        if form in forms:
            for name in parts or (form,):
                (folder / name).write_bytes(name.encode())
            if parts:
                index = {"metadata": {}, "weight_map": dict(zip("ab", parts, strict=True))}
                (folder / form).write_text(json.dumps(index))
    for name in unrelated:
        (folder / name).write_bytes(name.encode())
    return ModelFiles("mine", folder)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(forms=st.sets(st.sampled_from(FORMS), min_size=1), unrelated=st.sets(st.sampled_from(UNRELATED)))
def test_the_weights_are_those_that_transformers_resolves(tmp_path, forms, unrelated):
    from transformers.modeling_utils import _get_resolved_checkpoint_files

    files = fill(tmp_path / "some", forms, unrelated)
    resolved, _ = _get_resolved_checkpoint_files(
        files.folder,
        variant=None,
        gguf_file=None,
        use_safetensors=None,
        user_agent=None,
        is_remote_code=False,
    )
    assert sorted(map(str, weight_files(files))) == sorted(resolved)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_digest_changes_with_every_file_that_is_loaded_and_with_no_other(tmp_path, data):
    forms = data.draw(st.sets(st.sampled_from(FORMS), min_size=1))
    files = fill(tmp_path / "some", forms, UNRELATED)
    before, used = weights_digest(files), weight_files(files)
    path = data.draw(st.sampled_from(sorted(files.folder.iterdir())))
    if path.name.endswith(".json"):
        return
    path.write_bytes(b"something else")
    assert (weights_digest(files) != before) == (path in used)


def test_other_forms_that_are_not_loaded_are_named_and_a_left_over_index_is_not(tmp_path):
    files = fill(tmp_path / "some", FORMS)
    assert find_weights(files).form == "model.safetensors"
    assert find_weights(files).unused == FORMS[1:]
    for name in SHARDS:
        (files.folder / name).unlink()
    assert find_weights(files).unused == FORMS[2:]


def test_a_form_that_the_configuration_names_counts_before_all_others(tmp_path):
    files = fill(tmp_path / "some", FORMS, ["consolidated.safetensors"])
    (files.folder / "config.json").write_text('{"transformers_weights": "consolidated.safetensors"}')
    assert [path.name for path in weight_files(files)] == ["consolidated.safetensors"]
    (files.folder / "config.json").write_text('{"transformers_weights": "../elsewhere.safetensors"}')
    with pytest.raises(ModelError, match="neither a safetensors file of its folder"):
        weight_files(files)


@pytest.mark.parametrize("name", ["/etc/hostname", "../other/model-1.safetensors"])
def test_an_index_cannot_lead_out_of_its_folder(folder, name):
    (folder / "model.safetensors").unlink()
    (folder / FORMS[1]).write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ModelError, match="outside of its folder"):
        weight_files(ModelFiles("mine", folder))


def test_weights_under_a_name_that_transformers_does_not_load_are_named(folder):
    safetensors(folder / "model.fp16.safetensors")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.fp16\.safetensors is not a name that transformers loads"):
        weight_files(ModelFiles("mine", folder))
