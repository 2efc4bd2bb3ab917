"""A training on two gloo ranks with FSDP2, which writes its model and optimizer as one checkpoint.

    torchrun --nproc-per-node 2 -m tests.dcp.two_ranks FOLDER

Writes `FOLDER/step-1` and, from rank 0, the whole state dict as `FOLDER/whole.pt`.
"""

import sys
from pathlib import Path

import torch
from torch import distributed
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, get_state_dict
from torch.distributed.fsdp import fully_shard

from tests.dcp.models import tiny


def main(folder: Path) -> None:
    distributed.init_process_group("gloo")
    mesh = distributed.device_mesh.init_device_mesh("cpu", (2,))
    # 5 query heads of 8 rows and 3 layers: rows that two ranks cannot share equally.
    model = tiny("llama", hidden_size=40, num_attention_heads=5, num_key_value_heads=1, vocab_size=261)
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    ids = torch.arange(12).view(1, -1) + distributed.get_rank()
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    weights, state = get_state_dict(model, optimizer)
    dcp.save({"app": {"model": weights, "optim": state}}, checkpoint_id=folder / "step-1")
    whole = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if distributed.get_rank() == 0:
        torch.save(whole, folder / "whole.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
