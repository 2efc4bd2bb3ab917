"""The Python interface."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import evalsuite
from evalsuite.data.folder import data_folder
from evalsuite.errors import UserError
from evalsuite.progress import Silent
from tests.runs.bench import PLUGIN, Bench


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench.make(tmp_path, documents=4)


def run(bench: Bench, model: Path, tasks="pairs", **options) -> evalsuite.RunLog:
    named = {"data": bench.data, "include": [bench.plugin], "out": bench.out, "device": "cpu"}
    return evalsuite.run(tasks, str(model), **named | options)


def test_a_run_returns_its_log(bench, model):
    log = run(bench, model)
    assert isinstance(log, evalsuite.RunLog)
    assert log == evalsuite.read_run(bench.out)
    assert list(log.to_pandas()["task"]) == ["pairs"]


def test_tasks_are_one_string_or_a_list(bench, model, tmp_path):
    one = run(bench, model, "pairs, sums", out=tmp_path / "one")
    other = run(bench, model, ["pairs", "sums"], out=tmp_path / "other")
    assert one.spec == other.spec
    assert one.spec.tasks == ("tiny/pairs:cloze@0", "tiny/sums:generate@2")


def test_the_specification_holds_all_that_can_change_a_score(bench, model):
    log = run(bench, model, limit=2, seed=3, dtype="bfloat16", split="test")
    assert log.spec.model_dump() == {
        "tasks": ("tiny/pairs:cloze@0",),
        "suites": (),
        "model": str(model),
        "revision": None,
        "configuration": None,
        "adapter": None,
        "split": "test",
        "limit": 2,
        "sample": None,
        "seed": 3,
        "engine": "native",
        "dtype": "bfloat16",
        "device": "cpu",
        "trust_remote_code": False,
        "allow_data_drift": False,
        "logits_dtype": "float32",
        "tokenizer": None,
        "bos": None,
        "prefix_token": None,
        "max_length": None,
        "text": (),
        "text_field": "text",
        "text_domain": None,
        "stride": None,
        "engine_args": (),
    }
    assert log.model.numerics == "transformers bfloat16 cpu float32-sums packed"


def test_a_run_tells_its_progress(bench, model):
    stages, warnings = [], []

    class Heard(Silent):
        def stage(self, stage):
            stages.append(stage.name)

        def warn(self, sentence):
            warnings.append(sentence)

        def advance(self, tokens, planned):
            assert 0 <= tokens <= planned

    run(bench, model, ["pairs", "sums"], progress=Heard())
    assert stages == ["preparing", "encoding", "smoke test", "scoring", "generating", "judging"]
    assert [sentence.partition(":")[0] for sentence in warnings] == ["The smoke test failed"]


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(bench, model, limit):
    with pytest.raises(evalsuite.UserError, match=f"--limit must be at least 1, not {limit}"):
        run(bench, model, limit=limit)


def test_what_a_user_can_mend_is_a_user_error(bench, model, tmp_path):
    with pytest.raises(evalsuite.UserError, match="Did you mean pairs"):
        run(bench, model, "pair")
    with pytest.raises(evalsuite.UserError, match="does not exist"):
        run(bench, tmp_path / "nowhere")
    assert not bench.out.exists(), "nothing is written for a run that cannot begin"


def test_the_data_folder_is_the_given_one_else_that_of_the_environment(tmp_path, monkeypatch):
    given, known = tmp_path / "given", tmp_path / "known"
    given.mkdir(), known.mkdir()
    assert data_folder(None) is None
    assert data_folder(given) == given
    monkeypatch.setenv("EVALSUITE_DATA", str(known))
    assert data_folder(None) == known
    assert data_folder(given) == given


def test_a_data_folder_that_is_not_there_is_named_by_where_it_comes_from(tmp_path, monkeypatch):
    with pytest.raises(evalsuite.UserError, match=r"^--data .*nowhere"):
        data_folder(tmp_path / "nowhere")
    monkeypatch.setenv("EVALSUITE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(evalsuite.UserError, match=r"^EVALSUITE_DATA .*nowhere"):
        data_folder(None)


def test_the_environments_data_serves_a_run(bench, model, monkeypatch):
    monkeypatch.setenv("EVALSUITE_DATA", str(bench.data))
    assert run(bench, model, data=None).status == "complete"


def test_drifted_data_is_refused_unless_it_is_allowed(tmp_path, model):
    pinned = 'DatasetRef("tiny/" + name, columns, splits={"test": Pin(3, None)})'
    plugin = PLUGIN.replace('DatasetRef("tiny/" + name, columns)', pinned)
    plugin = plugin.replace("import ClozePair,", "import ClozePair, Pin,")
    bench = Bench.make(tmp_path, documents=4, plugin=plugin)
    with pytest.raises(evalsuite.UserError, match="has 4 rows, but 3 are pinned"):
        run(bench, model)
    log = run(bench, model, allow_data_drift=True)
    assert any("allowed by --allow-data-drift" in note for note in log.task("pairs").notes)


def test_importing_evalsuite_imports_nothing_heavy():
    code = (
        "import sys, evalsuite, evalsuite.api; heavy = {'torch', 'transformers', 'datasets', 'pandas', "
        "'pyarrow', 'scipy'}; sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_is_there():
    for name in evalsuite.__all__:
        assert getattr(evalsuite, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        evalsuite.nothing  # noqa: B018


def test_a_revision_is_refused_where_the_model_is_a_server_s_or_on_this_machine(tmp_path):
    with pytest.raises(UserError, match="--engine openai knows its model by --model alone"):
        evalsuite.run("piqa", "any", engine="openai", base_url="http://localhost:9", revision="main")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="--revision step-1 is for models on the hub"):
        evalsuite.run("piqa", str(tmp_path), revision="step-1", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
