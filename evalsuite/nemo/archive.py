"""NeMo's model archive: the content of a `.nemo` file, read without unpacking it.

The file is a tar, plain or gzipped, of `model_config.yaml`, the tokenizer's file, and weights: one
`model_weights.ckpt`, one of them for each rank in `mp_rank_00/` or `tp_rank_00_pp_rank_000/`, or a folder
`model_weights/` of a distributed checkpoint. Source: NeMo 1,
`nemo/core/connectors/save_restore_connector.py` and `nemo/utils/model_utils.py`
(`inject_model_parallel_rank`). Members are never written to disk under their own names; links, devices and
paths that lead out of the archive are refused.
"""

import functools
import gzip
import posixpath
import re
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from evalsuite.errors import ModelError
from evalsuite.files.yaml_files import BadYaml, load_yaml

CONFIG = "model_config.yaml"
LONGEST_KEPT = 2**26
"""Largest configuration or tokenizer in bytes that is kept in memory."""
TAR_MAGIC = (257, b"ustar")
"""Offset and bytes by which a tar file is known."""
GZIP = b"\x1f\x8b"
WEIGHTS = re.compile(
    r"(?:(?:mp_rank_(?P<mp>\d+)|tp_rank_(?P<tp>\d+)_pp_rank_(?P<pp>\d+))/)?model_weights\.ckpt"
)
DISTRIBUTED = "model_weights/"
DAMAGE = (tarfile.TarError, EOFError, zlib.error, ValueError)
"""Exceptions, beside OSError, from reading a tar or gzip file that is truncated or damaged."""


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """Position of a file in the decompressed tar, in bytes."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class NemoArchive:
    """The content of a `.nemo` file."""

    path: Path
    compressed: bool
    members: Mapping[str, ArchiveMember]
    """By path within the archive, without a leading `./`; files only."""
    settings: Mapping[str, Any]
    """Its `model_config.yaml`."""
    tokenizers: Mapping[str, bytes]
    """Its SentencePiece models (`*.model`), by path within the archive."""

    @property
    def ranks(self) -> dict[tuple[int, int], ArchiveMember]:
        """Weight files by (pipeline rank, tensor rank)."""
        found = {}
        for name, member in self.members.items():
            if rank := WEIGHTS.fullmatch(name):
                found[int(rank["pp"] or 0), int(rank["tp"] or rank["mp"] or 0)] = member
        return found

    @property
    def distributed(self) -> dict[str, ArchiveMember]:
        """Files of the distributed checkpoint, by path within its folder."""
        start = len(DISTRIBUTED)
        return {name[start:]: one for name, one in self.members.items() if name.startswith(DISTRIBUTED)}


def is_tar(path: Path) -> bool:
    """Whether a file is a plain tar by its first bytes; raises OSError."""
    offset, magic = TAR_MAGIC
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(len(magic)) == magic


def read_archive(path: Path) -> NemoArchive:
    """List an archive and read its configuration; a gzipped one is decompressed for it once per process.

    Raises:
        ModelError: unreadable, damaged, truncated, without configuration or weights, or with members that no
            model archive has.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ModelError(f"Model archive {path} cannot be read: {error.strerror}.") from None
    return _read(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _read(path: Path, size: int, changed: int) -> NemoArchive:
    try:
        with path.open("rb") as file:
            compressed = file.read(len(GZIP)) == GZIP
        with tarfile.open(path, "r:gz" if compressed else "r:") as tar:
            members, contents = _members(tar, path)
    except DAMAGE:
        raise ModelError(f"Model archive {path} is not a whole .nemo (tar) file: get it again.") from None
    except OSError as error:
        reason = error.strerror or "its compressed data is damaged; get it again"
        raise ModelError(f"Model archive {path} cannot be read: {reason}.") from None
    config = contents.pop(CONFIG, None)
    if config is None:
        raise ModelError(f"Model archive {path} has no {CONFIG}: it is not a NeMo model.")
    archive = NemoArchive(path, compressed, members, _settings(config, path), contents)
    if not archive.ranks and not archive.distributed:
        raise ModelError(f"Model archive {path} has no weights (model_weights.ckpt or {DISTRIBUTED}).")
    return archive


def _members(tar: tarfile.TarFile, path: Path) -> tuple[dict[str, ArchiveMember], dict[str, bytes]]:
    """Positions of all files, and the content of the configuration and the tokenizers."""
    members: dict[str, ArchiveMember] = {}
    contents: dict[str, bytes] = {}
    for info in tar:
        if info.isdir():
            continue
        name = _checked(info, path)
        if name in members:
            raise ModelError(f"Model archive {path} holds {name} twice.")
        members[name] = ArchiveMember(info.offset_data, info.size)
        if (name == CONFIG or name.endswith(".model")) and info.size <= LONGEST_KEPT:
            contents[name] = _content(tar, info)
    return members, contents


def _checked(info: tarfile.TarInfo, path: Path) -> str:
    name = posixpath.normpath(info.name)
    if not info.isreg() or info.issparse():
        raise ModelError(f"Model archive {path} is refused: its member {info.name!r} is not a plain file.")
    if name.startswith("/") or name.split("/")[0] == ".." or "\\" in name:
        raise ModelError(f"Model archive {path} is refused: its member {info.name!r} leads out of it.")
    return name


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    assert file is not None
    return file.read()


INTERPOLATION = re.compile(r"\$\{\.?(?:model\.)?(\w+)\}")
"""OmegaConf's reference to another top-level setting, as it stands in NeMo's own configurations."""


def _settings(config: bytes, path: Path) -> dict[str, Any]:
    try:
        settings = load_yaml(config)
    except BadYaml:
        settings = None
    if not isinstance(settings, dict):
        raise ModelError(f"Model archive {path}: its {CONFIG} is not readable YAML.")
    return {name: _followed(value, settings) for name, value in settings.items()}


def _followed(value: Any, settings: Mapping[str, Any]) -> Any:
    reference = INTERPOLATION.fullmatch(value) if isinstance(value, str) else None
    return settings.get(reference[1]) if reference else value


def decompress(archive: NemoArchive, target: IO[bytes]) -> None:
    """Write the decompressed tar of a gzipped archive; the members' offsets are positions in it.

    Raises:
        ModelError: the archive is damaged.
        OSError: the target cannot be written.
    """
    try:
        with gzip.open(archive.path, "rb") as file:
            shutil.copyfileobj(file, target, 2**24)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ModelError(f"Model archive {archive.path} is damaged: get it again.") from None
