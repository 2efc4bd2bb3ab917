"""Checkpoint formats that transformers does not load: archives, and raw checkpoints of training frameworks.

Each format is a `CheckpointFormat`, found by name through the entry-point group
`evalsuite.checkpoint_formats`; the built-in one reads NeMo archives. The rest of evalsuite calls the
functions of `evalsuite.checkpoints` and does not depend on the format of a model.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from evalsuite.checkpoints.model_files import ModelFiles
from evalsuite.entry_points import EntryPointGroup
from evalsuite.errors import ModelError


@runtime_checkable
class CheckpointFormat(Protocol):
    """Recognises, checks and identifies checkpoints in one format, and makes them loadable for transformers.

    A checkpoint is a file or a folder, `files.checkpoint`. Every method may raise ModelError: one sentence
    that names the file, what is wrong with it and what to do. evalsuite imports the modules of all installed
    formats when it meets an unknown path, so they must import torch and transformers inside functions only.
    `evalsuite.checkpoints.converted.ConvertedFormat` implements most methods for formats that write folders.
    """

    @property
    def name(self) -> str:
        """The name of the entry point."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes that alone identify a file, for example `.nemo`; empty for a format of folders."""
        ...

    @property
    def takes_model_config(self) -> bool:
        """Whether configuration and tokenizer may come from another folder, `files.model_config`."""
        ...

    def recognizes(self, path: Path) -> bool:
        """Whether a file of any name, or a folder without a model of transformers, is in this format.

        Looks at the first bytes of a file or the entries of a folder. Raises OSError if it cannot be read.
        """
        ...

    def check(self, files: ModelFiles) -> None:
        """Refuse a checkpoint that is incomplete, damaged or not supported, without reading its weights."""
        ...

    def config(self, files: ModelFiles) -> dict[str, Any]:
        """The model's `config.json`, as far as it is known before the weights are read."""
        ...

    def notes(self, files: ModelFiles) -> tuple[str, ...]:
        """What the run log says about the checkpoint, a sentence each: what of it was not used."""
        ...

    def weight_files(self, files: ModelFiles) -> Mapping[str, Path]:
        """The files that hold the weights, by name within the checkpoint."""
        ...

    def parameters(self, files: ModelFiles) -> int | None:
        """Number of parameters, for memory estimates; if None, the size of the weight files is used."""
        ...

    def weights_digest(self, files: ModelFiles, *, verify: bool) -> str:
        """SHA-256 of everything that the model's log-probabilities depend on, the conversion included.

        Args:
            files: the model.
            verify: read every byte and ignore remembered digests.
        """
        ...

    def tokenizer_digest(self, files: ModelFiles, *, verify: bool) -> str:
        """SHA-256 of everything that can change a token; arguments as in `weights_digest`."""
        ...

    def model_folder(self, files: ModelFiles) -> Path:
        """A folder with `config.json` and weights that transformers loads; written at the first call."""
        ...

    def tokenizer_folder(self, files: ModelFiles) -> Path:
        """A folder from which transformers loads the tokenizer; written at the first call."""
        ...


CHECKPOINT_FORMATS: EntryPointGroup[CheckpointFormat] = EntryPointGroup(
    "evalsuite.checkpoint_formats",
    "checkpoint format",
    "checkpoint formats",
    CheckpointFormat,  # type: ignore[type-abstract]
)


def format_of(files: ModelFiles) -> CheckpointFormat | None:
    """The format that reads a model; None if transformers loads the files themselves.

    Raises:
        UserError: no installed package has the format, or it cannot be imported.
    """
    return CHECKPOINT_FORMATS.load(files.format) if files.format else None


def notes_of_format(files: ModelFiles) -> tuple[str, ...]:
    """Notes for the run log on a model that a format reads; none for other models."""
    found = format_of(files)
    return found.notes(files) if found else ()


def formats_by_suffix() -> dict[str, str]:
    """Name of the format by file suffix, sorted by name."""
    return {suffix: each.name for each in CHECKPOINT_FORMATS.load_all() for suffix in each.suffixes}


def recognized_format(path: Path) -> str | None:
    """Name of the format of a file or folder, by its content; None if no format recognises it.

    Raises:
        ModelError: several formats recognise the path, or it cannot be read.
    """
    try:
        found = [each.name for each in CHECKPOINT_FORMATS.load_all() if each.recognizes(path)]
    except OSError as error:
        kind = "folder" if path.is_dir() else "file"
        raise ModelError(f"Model {kind} {path} cannot be read: {error.strerror}.") from None
    if len(found) > 1:
        raise ModelError(
            f"Checkpoint {path} is recognised by {len(found)} formats, {listed(found, 'and')}: uninstall all "
            "packages with such a format but one."
        )
    return found[0] if found else None


def listed(words: Iterable[str], last: str) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *rest, end = words
    return f"{', '.join(rest)} {last} {end}" if rest else end


def model_folder(files: ModelFiles) -> Path:
    """Folder with the configuration and weights that transformers loads.

    Raises:
        ModelError: the checkpoint cannot be converted, or the cache cannot be written.
    """
    found = format_of(files)
    return found.model_folder(files) if found else files.folder


def tokenizer_folder(files: ModelFiles) -> Path:
    """Folder with the tokenizer that transformers loads; errors as in `model_folder`."""
    found = format_of(files)
    if files.tokenizer_folder or not found:
        return files.tokenizer_folder or files.folder
    return found.tokenizer_folder(files)
