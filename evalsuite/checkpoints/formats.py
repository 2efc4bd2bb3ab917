"""Checkpoint formats that transformers does not load: archives, and the raw checkpoints of training frameworks.

Each format is a `CheckpointFormat`, found by name through the entry-point group
`evalsuite.checkpoint_formats`; NeMo archives are the built-in one. The rest of evalsuite asks the functions of
`evalsuite.checkpoints` about a model and never which format it has.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from evalsuite.checkpoints.model_files import ModelFiles
from evalsuite.entry_points import EntryPointGroup
from evalsuite.errors import ModelError


@runtime_checkable
class CheckpointFormat(Protocol):
    """Makes a checkpoint in one format loadable: what it is, whether it is whole, and a folder for transformers.

    A checkpoint is a file or a folder, `files.checkpoint`. Every method may raise ModelError: one sentence that
    names the file, what is wrong with it and what to do. The module must import neither torch nor transformers
    when it is imported, since evalsuite asks every installed format about a path that it does not know.
    `evalsuite.checkpoints.converted.ConvertedFormat` does all of this for a format that writes folders.
    """

    name: str
    """The name of the entry point."""
    suffixes: tuple[str, ...]
    """Of files that the format reads whatever they hold, for example `.nemo`; none for a format of folders."""

    def recognizes(self, path: Path) -> bool:
        """Whether a file of any name, or a folder without `config.json`, is in this format.

        Told by a file's first bytes or a folder's entries; an OSError says that the path cannot be read.
        """
        ...

    def check(self, files: ModelFiles) -> None:
        """Refuse a checkpoint that is unfinished, damaged or not supported, without reading its weights."""
        ...

    def config(self, files: ModelFiles) -> dict[str, Any]:
        """The model's `config.json`, as far as it is known before the weights are read."""
        ...

    def weight_files(self, files: ModelFiles) -> Mapping[str, Path]:
        """The files that hold the weights, by name within the checkpoint."""
        ...

    def parameters(self, files: ModelFiles) -> int | None:
        """Parameters of the model, for estimates of memory; None takes the size of the weight files instead."""
        ...

    def weights_digest(self, files: ModelFiles, *, verify: bool) -> str:
        """SHA-256 that identifies the model: of everything that its numbers depend on, conversion included.

        Args:
            files: the model.
            verify: read every byte, instead of trusting remembered digests of unchanged files.
        """
        ...

    def tokenizer_digest(self, files: ModelFiles, *, verify: bool) -> str:
        """SHA-256 of everything that can change a token; arguments as in `weights_digest`."""
        ...

    def model_folder(self, files: ModelFiles) -> Path:
        """A folder with `config.json` and weights that transformers loads; made when it is first asked for."""
        ...

    def tokenizer_folder(self, files: ModelFiles) -> Path:
        """A folder from which transformers loads the tokenizer; made when it is first asked for."""
        ...


FORMATS: EntryPointGroup[CheckpointFormat] = EntryPointGroup(
    "evalsuite.checkpoint_formats",
    "checkpoint format",
    "checkpoint formats",
    CheckpointFormat,  # type: ignore[type-abstract]
)


def format_of(files: ModelFiles) -> CheckpointFormat | None:
    """The format that reads a model; None where transformers loads the files themselves.

    Raises:
        UserError: no installed package has the format, or it cannot be imported.
    """
    return FORMATS.load(files.format) if files.format else None


def formats_by_suffix() -> dict[str, str]:
    """Format by the suffix of the files that it reads, in the order of the formats' names."""
    return {suffix: each.name for each in FORMATS.load_all() for suffix in each.suffixes}


def recognized_format(path: Path) -> str | None:
    """Name of the format that a file or folder is in, by what it holds; None if it is in none.

    Raises:
        ModelError: several formats recognise it, or it cannot be read.
    """
    try:
        found = [each.name for each in FORMATS.load_all() if each.recognizes(path)]
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
        ModelError: a checkpoint that cannot be converted, or a cache that cannot be written.
    """
    found = format_of(files)
    return found.model_folder(files) if found else files.folder


def tokenizer_folder(files: ModelFiles) -> Path:
    """Folder with the tokenizer that transformers loads; errors as in `model_folder`."""
    found = format_of(files)
    return found.tokenizer_folder(files) if found else files.tokenizer_folder or files.folder
