"""Converts a NeMo archive to a Hugging Face folder, with one tensor in memory at a time."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from evalsuite.checkpoints.building import build_folder, check_free_disk
from evalsuite.checkpoints.raw.stored import Stored
from evalsuite.checkpoints.raw.write import write_weights
from evalsuite.errors import ModelError
from evalsuite.nemo.archive import NemoArchive, decompress, read_archive
from evalsuite.nemo.config import nemotron_config
from evalsuite.nemo.layout import nemotron_tensors
from evalsuite.nemo.tokenizer import sentencepiece_model, write_tokenizer
from evalsuite.nemo.weights import weights_of


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion wrote."""

    parameters: int
    tensors: int
    dtype: str
    files: int


def convert_archive(path: Path, out: Path) -> Converted:
    """Write the model and its tokenizer into a new folder, completely or not at all.

    Raises:
        ModelError: the archive is damaged, of another architecture, or the folder cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{out} exists and is not an empty folder: name another.")
    archive = read_archive(path)

    def fill(folder: Path) -> Converted:
        write_tokenizer(archive, folder)
        return write_model(archive, folder)

    return build_folder(out, fill)


def write_model(archive: NemoArchive, folder: Path) -> Converted:
    """Write `config.json` and the weights.

    Raises:
        ModelError: damaged weights, another architecture, or too little free disk space.
        OSError: it cannot be written.
    """
    name = str(archive.path)
    config = nemotron_config(name, archive.settings)
    pieces = sentencepiece_model(archive)
    with _decompressed_tar(archive, folder) as plain:
        tensors = nemotron_tensors(weights_of(archive, plain), config, name)
        vocabulary = tensors["model.embed_tokens.weight"].shape[0]
        if vocabulary < pieces.get_piece_size():
            raise ModelError(
                f"Model archive {name} embeds {vocabulary} tokens, "
                f"but its tokenizer has {pieces.get_piece_size()}."
            )
        check_free_disk(sum(stored.size for stored in tensors.values()), folder)
        config |= {
            "vocab_size": vocabulary,
            "bos_token_id": _id(pieces.bos_id()),
            "eos_token_id": _id(pieces.eos_id()),
            "dtype": _dtype(tensors),
        }
        try:
            files = write_weights(tensors, folder)
        except EOFError:
            raise ModelError(f"Model archive {name} is cut off: get it again.") from None
    (folder / "config.json").write_text(json.dumps(config, indent=2), "utf-8")
    parameters = sum(torch.Size(stored.shape).numel() for stored in tensors.values())
    return Converted(parameters, len(tensors), config["dtype"], files)


@contextmanager
def _decompressed_tar(archive: NemoArchive, folder: Path) -> Iterator[Path]:
    if not archive.compressed:
        yield archive.path
        return
    check_free_disk(max(member.offset + member.size for member in archive.members.values()), folder)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".tar") as file:
        decompress(archive, file)
        file.flush()
        yield Path(file.name)


def _id(number: int) -> int | None:
    """SentencePiece gives -1 for a token that it does not have."""
    return number if number >= 0 else None


def _dtype(tensors: Mapping[str, Stored]) -> str:
    return str(tensors["model.embed_tokens.weight"].dtype).removeprefix("torch.")
