"""Engines by name, and their own settings."""

import sys
from pathlib import Path

import pytest

from evalsuite import entry_points
from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.engines import engine_kind, make_engine, split_arguments
from evalsuite.engine.protocol import answers_in
from evalsuite.engine.settings import EngineKind, EngineSpec
from evalsuite.errors import UserError
from evalsuite.types import GenerateRequest, ScoreRequest

FILES = ModelFiles.elsewhere("files")
KETTLE = EngineKind(lambda spec: spec, frozenset({"heat", "water"}), frozenset({"lid"}))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package that names `module` as an engine."""

    def install(name: str, source: str) -> None:
        (tmp_path / f"{name}_engine.py").write_text(source, "utf-8")
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[evalsuite.engines]\n{name} = {name}_engine:KIND\n", "utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        entry_points.installed_entry_points.cache_clear()

    yield install
    entry_points.installed_entry_points.cache_clear()


@pytest.fixture
def kettle(installed) -> None:
    """An engine with settings that hands back what it was made of."""
    installed("kettle", f"from {__name__} import KETTLE as KIND\n")


def test_settings_that_cannot_change_an_answer_stand_apart(kettle):
    assert split_arguments("kettle", ["water=2=3", "lid=shut", "heat="]) == (
        ("heat=", "water=2=3"),
        ("lid=shut",),
    )


def test_an_engine_gets_its_settings_by_name(kettle):
    made = make_engine(EngineSpec("kettle", FILES, arguments=("heat=9", "lid=off")))
    assert made.files == FILES
    assert made.own == {"heat": "9", "lid": "off"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_package", "The engine 'pot' (pot_engine:KIND) cannot be imported: No module named"),
        ("", "The engine 'pot' (pot_engine:KIND) cannot be imported: module 'pot_engine' has no attribute"),
        (
            "KIND = print",
            "The engine 'pot' (pot_engine:KIND) must be an evalsuite.engine.settings.EngineKind.",
        ),
    ],
)
def test_an_engine_that_cannot_be_had_is_one_sentence(installed, source, said):
    sys.modules.pop("pot_engine", None)
    installed("pot", source)
    with pytest.raises(UserError) as caught:
        engine_kind("pot")
    assert str(caught.value).startswith(said)


def test_the_engine_of_the_documentation_is_short_and_scores(installed, llama_files):
    example = Path(__file__).parents[2] / "examples" / "third_party_engine.py"
    source = example.read_text("utf-8")
    assert len(source.splitlines()) < 80
    installed("plain", source)
    found = make_engine(EngineSpec("plain", llama_files, device="cpu"))
    native = make_engine(EngineSpec("native", llama_files, dtype="float32", device="cpu"))
    requests = [ScoreRequest((1, 5, 9), (7, 8)), ScoreRequest((1, 5), (3,))]
    scores = [dict(answers_in(engine.score(requests))) for engine in (found, native)]
    for request in requests:
        assert scores[0][request].log_likelihood == pytest.approx(scores[1][request].log_likelihood, abs=1e-4)
        assert scores[0][request].is_greedy == scores[1][request].is_greedy
    text = GenerateRequest((1, 5, 9), (), 6)
    texts = [dict(answers_in(engine.generate([text]))) for engine in (found, native)]
    assert texts[0][text] == texts[1][text]


@pytest.mark.parametrize(
    ("engine", "arguments", "said"),
    [
        (
            "kettle",
            ["wather=1"],
            "Unknown engine setting 'wather'. Did you mean water? Engine kettle takes heat, lid, water.",
        ),
        ("kettle", ["heat"], "--engine-arg takes NAME=VALUE, not 'heat'."),
        ("kettle", ["=1"], "--engine-arg takes NAME=VALUE, not '=1'."),
        ("kettle", ["heat=1", "heat=2"], "--engine-arg heat is given twice."),
        ("native", ["heat=1"], "Unknown engine setting 'heat'. Engine native takes deterministic, graphs."),
        ("ketle", [], "Unknown engine 'ketle'. Did you mean kettle?"),
    ],
)
def test_a_wrong_setting_is_one_sentence(kettle, engine, arguments, said):
    with pytest.raises(UserError) as caught:
        split_arguments(engine, arguments)
    assert str(caught.value).startswith(said)
