"""Every architecture of transformers is read in its own names: those in memory and those in its files."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from evalsuite.checkpoints import model_folder, resolve
from evalsuite.checkpoints.auto_class import auto_class
from evalsuite.checkpoints.files import read_config
from tests.dcp import writing
from tests.zoo.comparing import random_model

EVERYDAY = ("deepseek_v3", "gpt_oss", "mixtral", "gemma3_text")
"""Experts that transformers joins in memory, and tied embeddings."""
LEAST = 160


def unequal(family: str, folder: Path) -> list[str]:
    """Tensors of a random model that differ when it was stored as a distributed checkpoint."""
    model = random_model(family, window=16)
    model.save_pretrained(folder / "whole")
    stored = {
        name: values
        for path in (folder / "whole").glob("*.safetensors")
        for name, values in load_file(path).items()
    }
    (folder / "config").mkdir()
    for name in ("config.json", "generation_config.json"):
        if (folder / "whole" / name).exists():
            shutil.copy(folder / "whole" / name, folder / "config")
    wrong = []
    expected = _loaded(folder / "whole", str(folder / "whole"))
    for kind, state in (("in memory", model.state_dict()), ("in files", stored)):
        writing.save({name: values.contiguous() for name, values in state.items()}, folder / kind)
        files = resolve(str(folder / kind), model_config=str(folder / "config"))
        found = _loaded(model_folder(files), str(folder / "whole"))
        assert found.keys() == expected.keys()
        wrong += [f"{kind}: {name}" for name in expected if not torch.equal(found[name], expected[name])]
    return wrong


def _loaded(folder: Path, named: str) -> dict[str, torch.Tensor]:
    auto = auto_class(read_config(resolve(named)))
    return auto.from_pretrained(folder, dtype=torch.float32).state_dict()


@pytest.mark.parametrize("family", EVERYDAY)
def test_experts_and_tied_embeddings_are_read_in_both_namings(family, tmp_path):
    assert unequal(family, tmp_path) == []


@pytest.mark.slow
def test_every_architecture_is_read_in_both_namings(tmp_path):
    wrong, read = {}, 0
    for family in sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        folder = tmp_path / family
        folder.mkdir()
        try:
            random_model(family, window=16)
        except Exception:  # configurations of other people's classes raise errors of every kind
            continue
        if found := unequal(family, folder):
            wrong[family] = found
        read += 1
        shutil.rmtree(folder)
    assert wrong == {}
    assert read >= LEAST
