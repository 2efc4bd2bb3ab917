"""Engines by name, and their own settings."""

import dataclasses

import pytest

from evalsuite.engine import engines as make
from evalsuite.engine.engines import EngineKind, make_engine, split_arguments
from evalsuite.errors import UserError

ASKED = {"dtype": "float32", "device": "cpu", "trust_remote_code": False, "verify_weights": False}


@pytest.fixture
def kettle(monkeypatch):
    """An engine with settings that hands back what it was made of."""
    kind = EngineKind(lambda files, **given: (files, given), frozenset({"heat", "water"}), frozenset({"lid"}))
    monkeypatch.setitem(make.ENGINES, "kettle", kind)
    return kind


def test_settings_that_cannot_change_an_answer_stand_apart(kettle):
    assert split_arguments("kettle", ["water=2=3", "lid=shut", "heat="]) == (
        ("heat=", "water=2=3"),
        ("lid=shut",),
    )


def test_an_engine_gets_its_settings_by_name(kettle):
    files, given = make_engine("kettle", "files", **ASKED, arguments=("heat=9", "lid=off"))
    assert files == "files"
    assert given["arguments"] == {"heat": "9", "lid": "off"}


def test_an_engine_without_settings_is_not_handed_any(kettle, monkeypatch):
    monkeypatch.setitem(
        make.ENGINES, "kettle", dataclasses.replace(kettle, settings=frozenset(), tuning=frozenset())
    )
    assert "arguments" not in make_engine("kettle", "files", **ASKED)[1]


@pytest.mark.parametrize(
    ("engine", "arguments", "said"),
    [
        ("kettle", ["wather=1"], "Unknown engine setting 'wather'. Did you mean water? Engine kettle takes heat, lid, water."),
        ("kettle", ["heat"], "--engine-arg takes NAME=VALUE, not 'heat'."),
        ("kettle", ["=1"], "--engine-arg takes NAME=VALUE, not '=1'."),
        ("kettle", ["heat=1", "heat=2"], "--engine-arg heat is given twice."),
        ("native", ["heat=1"], "Unknown engine setting 'heat'. Engine native takes deterministic, graphs."),
        ("ketle", [], "Unknown engine 'ketle'. Did you mean kettle?"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_sentence(kettle, engine, arguments, said):
    with pytest.raises(UserError) as caught:
        split_arguments(engine, arguments)
    assert str(caught.value).startswith(said)
