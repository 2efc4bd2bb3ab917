"""Conversions of NeMo archives in the user's cache, by the content of the archive."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.digests import CONVERSION
from evalsuite.checkpoints.file_digests import file_digest
from evalsuite.checkpoints.nemo import read_archive
from evalsuite.errors import ModelError
from evalsuite.files import locking
from evalsuite.files.caches import cache_folder


def model_folder(files: ModelFiles) -> Path:
    """Folder with the configuration and weights that transformers loads.

    Raises:
        ModelError: an archive that cannot be converted, or a cache that cannot be written.
    """
    if files.nemo_path is None:
        return files.folder
    from evalsuite.nemo.convert import write_model

    return _made(files.nemo_path, "model", write_model)


def tokenizer_folder(files: ModelFiles) -> Path:
    """Folder with the tokenizer that transformers loads; errors as in `model_folder`."""
    if files.nemo_path is None:
        return files.tokenizer_folder or files.folder
    from evalsuite.nemo.tokenizer import write_tokenizer

    return _made(files.nemo_path, "tokenizer", write_tokenizer)


def _made(path: Path, part: str, write: Callable[..., object]) -> Path:
    """The cached part of a conversion; of several processes that need it, one makes it."""
    from evalsuite.nemo.building import build_folder

    home = cache_home() / f"{file_digest(path)[:32]}-{CONVERSION}"
    target = home / part
    if target.is_dir():
        return target
    archive = read_archive(path)
    with _alone(home):
        if not target.is_dir():
            for left_over in home.glob(f".{part}.unfinished-*"):
                shutil.rmtree(left_over, ignore_errors=True)
            build_folder(target, lambda folder: write(archive, folder))
    return target


def cache_home() -> Path:
    """Where conversions are kept."""
    try:
        return cache_folder("evalsuite") / "nemo"
    except OSError as error:
        raise ModelError(f"The converted model cannot be kept: {error.strerror}.") from None


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "lock").open("w")
    except OSError as error:
        raise ModelError(
            f"The converted model cannot be kept in {home}: {error.strerror}; "
            "set XDG_CACHE_HOME to another folder."
        ) from None
    with lock:
        locking.lock(lock, wait=True)
        yield
