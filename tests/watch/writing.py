"""A trainer's side: checkpoints of a tiny model, written file by file and shard by shard."""

import shutil
import time
from pathlib import Path

from tests.engine.tiny import save, tiny_llama

SHARD = "40KB"
"""Size of a shard: a tiny model has several."""


def checkpoint(folder: Path, seed: int) -> Path:
    """A complete checkpoint in several shards."""
    model = tiny_llama(seed)
    save(model, folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size=SHARD)
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


def write_slowly(source: Path, target: Path, pause: float, stop_after: int | None = None) -> None:
    """Copy a checkpoint piece by piece, each file in two halves; only some pieces if it is never finished."""
    target.mkdir(parents=True)
    pieces = 0
    for path in sorted(source.iterdir(), key=lambda path: (path.suffix == ".safetensors", path.name)):
        content = path.read_bytes()
        with (target / path.name).open("wb") as file:
            for half in (content[: len(content) // 2], content[len(content) // 2 :]):
                if stop_after is not None and pieces >= stop_after:
                    return
                file.write(half)
                file.flush()
                pieces += 1
                time.sleep(pause)


def rotate(folder: Path) -> None:
    """Delete a checkpoint, as a trainer does that keeps the last few."""
    shutil.rmtree(folder)
