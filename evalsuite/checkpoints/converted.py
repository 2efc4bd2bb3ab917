"""Checkpoints that are converted once, into a folder of the user's cache that their content names."""

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

    A subclass recognises a checkpoint, reads its configuration and writes model and tokenizer; this class
    makes the digests and keeps the conversions, in `<user's cache>/evalsuite/<name>/<digest>-<conversion>/`.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    conversion: ClassVar[int]
    """Raised when the conversion changes, so that answers of the old one are not used again."""
    takes_model_config: ClassVar[bool] = False

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
        """Refuse a checkpoint without a readable configuration; a format that can check more overrides it."""
        self.config(files)

    def weight_files(self, files: ModelFiles) -> Mapping[str, Path]:
        """The checkpoint's one file, or every file of its folder."""
        path = checkpoint_of(files)
        if not path.is_dir():
            return {path.name: path}
        below = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): file for file in below}

    def tokenizer_files(self, files: ModelFiles) -> Mapping[str, Path]:
        """The files that the tokenizer is made from, by name; by default the weight files."""
        return self.weight_files(files)

    def parameters(self, files: ModelFiles) -> int | None:
        """Not known before the weights are read."""
        return None

    def notes(self, files: ModelFiles) -> tuple[str, ...]:
        """Nothing to say."""
        return ()

    def content(self, files: ModelFiles, *, verify: bool) -> str:
        """Digest of everything that the model is made from: by default the content of the weight files."""
        return _content(files, self.weight_files(files), verify)

    def weights_digest(self, files: ModelFiles, *, verify: bool) -> str:
        """Digest of the format's name, the conversion and `content`."""
        return sha256_of([self.name, self.conversion, self.content(files, verify=verify)])

    def tokenizer_digest(self, files: ModelFiles, *, verify: bool) -> str:
        """Digest of the format's name, the conversion and the content of the tokenizer's files."""
        content = _content(files, self.tokenizer_files(files), verify)
        return sha256_of([f"{self.name} tokenizer", self.conversion, content])

    def model_folder(self, files: ModelFiles) -> Path:
        """The model's conversion in the user's cache."""
        return self._converted(files, "model", self.content(files, verify=False), self.write_model)

    def tokenizer_folder(self, files: ModelFiles) -> Path:
        """The tokenizer's conversion in the user's cache."""
        content = _content(files, self.tokenizer_files(files), verify=False)
        return self._converted(files, "tokenizer", content, self.write_tokenizer)

    def home(self, content: str) -> Path:
        """The folder of the conversions of a checkpoint with that digest of its content."""
        return cache_home(self.name) / f"{content[:32]}-{self.conversion}"

    def _converted(
        self,
        files: ModelFiles,
        part: str,
        content: str,
        write: Callable[[ModelFiles, Path], None],
    ) -> Path:
        """The cached `part` of a conversion; of several processes that need it, one writes it."""
        home = self.home(content)
        target = home / part
        if target.is_dir():
            return target
        self.check(files)
        with locked(home):
            if not target.is_dir():
                for left_over in home.glob(f".{part}.unfinished-*"):
                    shutil.rmtree(left_over, ignore_errors=True)
                build_folder(target, lambda folder: write(files, folder))
        return target


def checkpoint_of(files: ModelFiles) -> Path:
    """The file or folder that a format reads, of a model that has one."""
    assert files.checkpoint is not None
    return files.checkpoint


def _content(files: ModelFiles, paths: Mapping[str, Path], verify: bool) -> str:
    """SHA-256 of a checkpoint: of its one file, whatever the name, or of its files with their names."""
    if checkpoint_of(files).is_dir():
        return digest_by_name(paths, verify)
    [path] = paths.values()
    return file_digest(path, verify=verify)


def cache_home(name: str) -> Path:
    """The folder that holds the conversions of a format; raises ModelError if there is no home folder."""
    try:
        return cache_folder("evalsuite") / name
    except OSError as error:
        raise ModelError(f"The converted model cannot be kept: {error.strerror}.") from None


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the lock of a folder of the cache, which is made if needed; raises ModelError if it cannot be."""
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
