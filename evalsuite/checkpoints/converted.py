"""Checkpoints that are converted once, into the user's cache, by their content."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from evalsuite.checkpoints.building import build_folder
from evalsuite.checkpoints.file_digests import digest_by_name, file_digest
from evalsuite.checkpoints.model_files import ModelFiles
from evalsuite.errors import ModelError
from evalsuite.files import locking
from evalsuite.files.caches import cache_folder
from evalsuite.types import sha256_of


class ConvertedFormat(ABC):
    """Base class of a `CheckpointFormat` that writes its checkpoints as folders for transformers.

    A subclass says how a checkpoint is recognised, what its configuration is, and how model and tokenizer are
    written. Digests, the cache and its lock are here. The cache is
    `<user's cache>/evalsuite/<name>/<digest of the files>-<conversion>/`.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    conversion: ClassVar[int]
    """Raised when checkpoints are converted in another way: answers of the old conversion are not used again."""

    @abstractmethod
    def recognizes(self, path: Path) -> bool:
        """See `CheckpointFormat`, as for the methods below."""

    @abstractmethod
    def config(self, files: ModelFiles) -> dict[str, Any]:
        """The model's `config.json`, as far as it is known before the weights are read."""

    @abstractmethod
    def write_model(self, files: ModelFiles, folder: Path) -> None:
        """Write `config.json` and the weights into an empty folder.

        Raises:
            ModelError: damaged, or not supported.
            OSError: it cannot be written.
        """

    @abstractmethod
    def write_tokenizer(self, files: ModelFiles, folder: Path) -> None:
        """Write the tokenizer's files into an empty folder; errors as in `write_model`."""

    def check(self, files: ModelFiles) -> None:
        """Refuse what has no readable configuration; a format that can tell more overrides this."""
        self.config(files)

    def weight_files(self, files: ModelFiles) -> Mapping[str, Path]:
        """The checkpoint's one file, or every file of its folder."""
        path = checkpoint_of(files)
        if not path.is_dir():
            return {path.name: path}
        below = sorted(one for one in path.rglob("*") if one.is_file())
        return {one.relative_to(path).as_posix(): one for one in below}

    def tokenizer_files(self, files: ModelFiles) -> Mapping[str, Path]:
        """The files that the tokenizer is made from, by name: all that the weights are made from."""
        return self.weight_files(files)

    def parameters(self, files: ModelFiles) -> int | None:
        """Not known before the weights are read."""
        return None

    def weights_digest(self, files: ModelFiles, *, verify: bool) -> str:
        """Of the format, the way of converting it and the content of the weight files."""
        return sha256_of([self.name, self.conversion, _content(files, self.weight_files(files), verify)])

    def tokenizer_digest(self, files: ModelFiles, *, verify: bool) -> str:
        """Of the format, the way of converting it and the content of the tokenizer's files."""
        content = _content(files, self.tokenizer_files(files), verify)
        return sha256_of([f"{self.name} tokenizer", self.conversion, content])

    def model_folder(self, files: ModelFiles) -> Path:
        """The model's conversion in the user's cache."""
        return self._converted(files, "model", self.weight_files(files), self.write_model)

    def tokenizer_folder(self, files: ModelFiles) -> Path:
        """The tokenizer's conversion in the user's cache."""
        return self._converted(files, "tokenizer", self.tokenizer_files(files), self.write_tokenizer)

    def _converted(
        self,
        files: ModelFiles,
        part: str,
        sources: Mapping[str, Path],
        write: Callable[[ModelFiles, Path], None],
    ) -> Path:
        """The cached `part` of a conversion; of several processes that need it, one makes it."""
        home = cache_home(self.name) / f"{_content(files, sources, verify=False)[:32]}-{self.conversion}"
        target = home / part
        if target.is_dir():
            return target
        self.check(files)
        with _locked(home):
            if not target.is_dir():
                for left_over in home.glob(f".{part}.unfinished-*"):
                    shutil.rmtree(left_over, ignore_errors=True)
                build_folder(target, lambda folder: write(files, folder))
        return target


def checkpoint_of(files: ModelFiles) -> Path:
    """The file or folder of a model that a format reads."""
    assert files.checkpoint is not None
    return files.checkpoint


def _content(files: ModelFiles, paths: Mapping[str, Path], verify: bool) -> str:
    """SHA-256 of one file whatever its name, or of the files of a folder with their names."""
    if checkpoint_of(files).is_dir():
        return digest_by_name(paths, verify)
    [path] = paths.values()
    return file_digest(path, verify=verify)


def cache_home(name: str) -> Path:
    """Where the conversions of a format are kept."""
    try:
        return cache_folder("evalsuite") / name
    except OSError as error:
        raise ModelError(f"The converted model cannot be kept: {error.strerror}.") from None


@contextmanager
def _locked(home: Path) -> Iterator[None]:
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
