"""A checkpoint that two FSDP2 ranks wrote in shards is the model that they trained."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.dcp.models import tiny
from tests.dcp.test_layouts import check

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_shards_of_two_ranks_are_joined(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*launch, "-m", "tests.dcp.two_ranks", str(tmp_path)],
        check=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert len(list((tmp_path / "step-1").glob("*.distcp"))) == 2
    model = tiny("llama", hidden_size=40, num_attention_heads=5, num_key_value_heads=1, vocab_size=261)
    before = model.lm_head.weight.clone()
    model.load_state_dict(torch.load(tmp_path / "whole.pt"))
    assert not torch.equal(model.lm_head.weight, before)
    check(tmp_path / "step-1", model, tmp_path)
