"""A raw format of a few lines, installed for a test, and models whose weights it holds."""

from pathlib import Path

import pytest
import torch

from evalsuite.checkpoints import formats
from evalsuite.checkpoints.converted import checkpoint_of
from evalsuite.checkpoints.raw.format import RawFormat
from tests.checkpoints.conftest import fresh_probe, own_cache

__all__ = ["fresh_probe", "own_cache"]


class StateFormat(RawFormat):
    """A folder with one file, `state.pt`: the `state_dict` of a model."""

    name = "state"
    conversion = 1

    def recognizes(self, path):
        return (path / "state.pt").is_file()

    def tensors(self, files, target):
        from evalsuite.checkpoints.raw.account import account
        from evalsuite.checkpoints.raw.stored import Stored

        path = checkpoint_of(files)
        state = torch.load(path / "state.pt")
        found = {name: Stored(tuple(t.shape), t.dtype, lambda t=t: t) for name, t in state.items()}
        return account(target.in_memory, found, checkpoint=path, config_folder=target.folder)


@pytest.fixture
def state_format(monkeypatch):
    """Installs the format beside the built-in ones."""
    group = formats.CHECKPOINT_FORMATS
    others = list(group.load_all())
    monkeypatch.setattr(type(group), "load_all", lambda self: iter([*others, StateFormat()]))
    load = type(group).load
    monkeypatch.setattr(
        type(group), "load", lambda self, name: StateFormat() if name == "state" else load(self, name)
    )


@pytest.fixture
def step(state_format, model, tmp_path) -> Path:
    """A checkpoint in that format, of the tiny model."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "step-1000"
    folder.mkdir()
    torch.save(AutoModelForCausalLM.from_pretrained(model).state_dict(), folder / "state.pt")
    return folder
