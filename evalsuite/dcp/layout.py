"""How trainers lay out the folder of a distributed checkpoint; imports nothing heavy."""

from pathlib import Path

DISTRIBUTED_INDEX_NAME = ".metadata"
DATA = "*.distcp"
INNER = ("model_and_optim", "pytorch_model_fsdp_0")
"""Folders within a trainer's checkpoint that hold the distributed one: OLMo-core's and accelerate's."""
MEGATRON = ("common.pt", "metadata.json")
"""Files beside the index of a checkpoint that Megatron-Core wrote, which is read by another format."""
AGAIN = "wait until it is written, or write it again"


def distributed_folder(path: Path) -> Path | None:
    """The folder with index and data: `path` or a folder within it; None if there is none.

    A folder without an index counts, too, so that what is half written is known for what it is.

    Raises:
        OSError: it cannot be read.
    """
    if not path.is_dir():
        return None
    for folder in (path, *(path / name for name in INNER)):
        if any((folder / name).is_file() for name in MEGATRON):
            continue
        if (folder / DISTRIBUTED_INDEX_NAME).is_file() or next(folder.glob(DATA), None):
            return folder
    return None
