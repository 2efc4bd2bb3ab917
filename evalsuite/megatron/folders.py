"""The folders in which Megatron keeps checkpoints, known by their names.

A training's folder holds a folder `iter_0001000` for each checkpoint, and `latest_checkpointed_iteration.txt`
with the number of the last. A checkpoint is either a distributed one (`torch_dist`: `metadata.json`,
`common.pt` and the files of PyTorch's distributed checkpoint) or an older one with a folder for each rank,
`mp_rank_TT` or `mp_rank_TT_PPP`. Source: Megatron-LM, `megatron/training/checkpointing.py`
(`get_checkpoint_name`); Megatron-Core 0.16.1, `dist_checkpointing/core.py`.
"""

import json
import re
from pathlib import Path

from evalsuite.errors import ModelError

LATEST = "latest_checkpointed_iteration.txt"
COMMON_FILE = "common.pt"
METADATA_FILE = "metadata.json"
INDEX_FILE = ".metadata"
RANK_FILE = "model_optim_rng.pt"
RANK = re.compile(r"mp_rank_(?P<tensor>\d{2,})(?:_(?P<pipeline>\d{3,}))?(?P<expert>_\d{3,})?")
ITERATION = re.compile(r"iter_(\d+)")


def is_distributed(path: Path) -> bool:
    """Whether a folder is a distributed checkpoint of Megatron's, finished or not."""
    if (path / COMMON_FILE).is_file():
        return True
    return (path / METADATA_FILE).is_file() and ((path / INDEX_FILE).is_file() or any(path.glob("*.distcp")))


def rank_folders(path: Path) -> dict[str, Path]:
    """The folders of the ranks, by name."""
    return {each.name: each for each in sorted(path.glob("mp_rank_*")) if RANK.fullmatch(each.name)}


def is_training(path: Path) -> bool:
    """Whether a folder holds the checkpoints of a training, and is none itself."""
    return (path / LATEST).is_file()


def check_backend(path: Path) -> None:
    """Refuse a distributed checkpoint that is unfinished, or of another kind than `torch_dist`.

    Raises:
        ModelError: one of its files is missing, or says something else.
    """
    for name in (METADATA_FILE, COMMON_FILE):
        if not (path / name).is_file():
            raise ModelError(
                f"Checkpoint {path} has no {name}: it is not completely written, or not completely copied."
            )
    backend = _backend(path)
    if backend is None:
        raise ModelError(f"Checkpoint {path}: its {METADATA_FILE} is damaged.")
    if backend != "torch_dist":
        raise ModelError(
            f"Checkpoint {path} is of Megatron's kind {backend}; only torch_dist and mp_rank_* can be read. "
            "Megatron can load it and save it again with --ckpt-format torch_dist."
        )


def check_iteration(path: Path, iteration: int | None) -> None:
    """Refuse a folder whose name says another iteration than its content; raises ModelError."""
    named = ITERATION.fullmatch(path.name)
    if named and iteration is not None and int(named[1]) != iteration:
        raise ModelError(f"Checkpoint {path} is named after another iteration than it holds, {iteration}.")


def training_refusal(path: Path) -> ModelError:
    """Which checkpoint of a training to give: the latest one changes while the training runs."""
    try:
        latest = (path / LATEST).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        latest = ""
    folder = path / (f"iter_{int(latest):07d}" if latest.isdecimal() else latest or "iter_NNNNNNN")
    return ModelError(
        f"{path} holds the checkpoints of a training, and the latest one changes: name one, for example "
        f"{folder}, or evaluate all of them with evalsuite watch."
    )


def _backend(path: Path) -> str | None:
    """The kind of a distributed checkpoint; None if there is none."""
    try:
        content = json.loads((path / METADATA_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    backend = content.get("sharded_backend") if isinstance(content, dict) else None
    return backend if isinstance(backend, str) else None
