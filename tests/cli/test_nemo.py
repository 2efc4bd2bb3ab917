"""A NeMo archive from the command line: evaluated as it is, or converted."""

import shutil

import pytest
from transformers import AutoTokenizer

from evalsuite.checkpoints import ModelFiles, converted, resolve, weights_digest
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.protocol import answers_in
from evalsuite.types import ScoreRequest
from tests.nemo.archives import gpt, write
from tests.nemo.texts import train
from tests.runs.bench import read_json


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "evalsuite" / "nemo"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp("nemo"), gpt(groups=2), train(), "megatron", tp=2)


@pytest.fixture
def archive(tmp_path, made):
    return shutil.copy(made, tmp_path / "tiny.nemo")


def test_an_archive_is_evaluated_like_any_model(run, bench, archive, own_cache):
    done = run(model=archive)
    assert done.code == 0, done.err
    log = read_json(bench.out / "run.json")
    assert log["model"]["weights_sha256"] == weights_digest(resolve(str(archive)))
    assert "packed" in log["model"]["numerics"]
    assert len(list(own_cache.glob("*/model/config.json"))) == 1


def test_the_cached_conversion_is_used_again_under_any_name(run, archive, own_cache, tmp_path, monkeypatch):
    assert run(model=archive).code == 0
    renamed = archive.rename(archive.with_name("other.nemo"))
    monkeypatch.setattr(converted, "build_folder", None)
    done = run("pairs", model=renamed, limit=2, out=tmp_path / "second")
    assert done.code == 0, done.err
    assert len(list(own_cache.iterdir())) == 1


def test_a_finished_run_needs_no_conversion(run, archive, own_cache):
    assert run(model=archive).code == 0
    shutil.rmtree(own_cache)
    assert run(model=archive).code == 0
    assert not list(own_cache.glob("*/model"))


def test_a_converted_folder_gives_the_archives_answers(cli, archive, tmp_path):
    out = tmp_path / "converted"
    done = cli("convert-nemo", archive, "--out", out)
    assert (done.code, done.err) == (0, "")
    assert "parameters (float32, 1 files) and the tokenizer in" in done.out
    assert {path.name for path in out.iterdir()} == {
        "config.json",
        "model-00001-of-00001.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    }
    requests = [ScoreRequest((5, 6, 7), (8, 9)), ScoreRequest((5, 6), (300,))]
    one, other = (
        list(answers_in(TransformersEngine(files, device="cpu").score(requests)))
        for files in (resolve(str(archive)), resolve(str(out)))
    )
    assert one == other
    text = "Answer: 42\n  naïve <s>"
    both = [
        TransformersEngine(resolve(str(path))).tokenizer.encode([text], special_tokens=True)
        for path in (archive, out)
    ]
    assert both[0] == both[1] == [AutoTokenizer.from_pretrained(out)(text)["input_ids"]]


def test_converting_never_writes_over_anything(cli, archive, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("")
    for out in ("full", "full/notes.txt"):
        done = cli("convert-nemo", archive, "--out", tmp_path / out)
        assert done.code == 2
        assert done.err.startswith("evalsuite: ")
        assert "not an empty folder" in done.err
    done = cli("convert-nemo", tmp_path / "none.nemo", "--out", tmp_path / "new")
    assert (done.code, "cannot be read: No such file" in done.err) == (2, True)
    assert not (tmp_path / "new").exists()


def test_a_damaged_archive_is_one_sentence(run, archive):
    archive.write_bytes(archive.read_bytes()[:5000])
    done = run(model=archive)
    assert done.code == 2
    assert [line for line in done.err.splitlines() if "get it again" in line]
    assert "Traceback" not in done.err


def test_scoring_runs_on_packs(archive):
    engine = TransformersEngine(resolve(str(archive)), device="cpu")
    assert engine.scorer.why_batches == ""
    shots = tuple(range(20, 40))
    requests = [ScoreRequest((*shots, *range(100, 100 + length)), (3, 4)) for length in range(1, 9)]
    packs = dict(answers_in(engine.score(requests)))
    alone = TransformersEngine(resolve(str(archive)), device="cpu", packed=False)
    batches = dict(answers_in(alone.score(requests)))
    assert engine.notes == ()
    for request in requests:
        assert packs[request].log_probs == pytest.approx(batches[request].log_probs, abs=1e-5)


def test_the_alias_finds_the_archive_in_the_hubs_cache(archive, tmp_path, monkeypatch):
    monkeypatch.setattr("evalsuite.checkpoints.locate.why_unreachable", lambda: "no route to host")
    repository = tmp_path / "hub" / "models--nvidia--nemotron-3-8b-base-4k"
    snapshot = repository / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c" * 40)
    shutil.copy(archive, snapshot / "Nemotron-3-8B-Base-4k.nemo")
    files = resolve("nemotron-3-8b", cache_dir=tmp_path / "hub")
    assert files == ModelFiles(
        "nemotron-3-8b",
        snapshot,
        format="nemo",
        checkpoint=snapshot / "Nemotron-3-8B-Base-4k.nemo",
        hub_id="nvidia/nemotron-3-8b-base-4k",
        revision="c" * 40,
    )
    assert weights_digest(files) == weights_digest(resolve(str(archive)))
