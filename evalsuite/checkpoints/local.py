"""The model at a path of this machine: a folder, one file that is a whole model, or a checkpoint."""

from dataclasses import replace
from pathlib import Path

from evalsuite.checkpoints.aliases import aliases
from evalsuite.checkpoints.files import read_config
from evalsuite.checkpoints.formats import format_of, formats_by_suffix, listed, recognized_format
from evalsuite.checkpoints.model_files import ModelFiles
from evalsuite.checkpoints.weights import has_weights
from evalsuite.errors import ModelError
from evalsuite.files.caches import without_tilde

GGUF = "gguf"
GGUF_MAGIC = b"GGUF"


def local_model(name: str) -> ModelFiles | None:
    """The model at this path; None if there is nothing, or if it is an alias."""
    path = without_tilde(name)
    try:
        if name in aliases() or not path.exists():
            return None
        configured = (path / "config.json").is_file()
    except OSError as error:  # no permission for the folder or a parent, or a name that is too long
        raise ModelError(f"Model '{name}' cannot be accessed: {error.strerror}.") from None
    if path.is_dir():
        files = ModelFiles(name, path.resolve())
        return _raw_checkpoint(files) if configured else single_model(files)
    kind = _format_of_file(path)
    if kind is None:
        raise ModelError(
            f"Model file {path} is not a {suffixes_in_words()} file: give that, or a folder with config.json."
        )
    # The link's own name and folder: its target may have neither the suffix nor the neighbours.
    return _with_file(ModelFiles(name, path.parent.absolute()), path, kind)


def known_suffixes() -> dict[str, str]:
    """GGUF and the installed formats, by the suffix of their files."""
    return {".gguf": GGUF, **formats_by_suffix()}


def suffixes_in_words() -> str:
    """`.gguf or .nemo`, and the suffixes of further formats."""
    return listed(known_suffixes(), "or")


def _format_of_file(path: Path) -> str | None:
    """The format of a file, by its suffix, the suffix of a link's target, or its first bytes."""
    formats = known_suffixes()
    for name in (path, path.resolve()):
        if name.suffix in formats:
            return formats[name.suffix]
    try:
        with path.open("rb") as file:
            start = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise ModelError(f"Model file {path} cannot be read: {error.strerror}.") from None
    return GGUF if start == GGUF_MAGIC else recognized_format(path)


def single_model(files: ModelFiles) -> ModelFiles:
    """With the one file in its folder that is a whole model, or with the folder itself as a checkpoint.

    Raises:
        ModelError: there are several such files.
    """
    for suffix, kind in known_suffixes().items():
        found = sorted(files.folder.glob(f"*{suffix}"))
        if len(found) > 1:
            raise ModelError(
                f"Folder {files.folder} holds {len(found)} {suffix} files: give --model one of them."
            )
        if found:
            return _with_file(files, found[0], kind)
    return _recognized(files)


def _raw_checkpoint(files: ModelFiles) -> ModelFiles:
    """With the folder itself as a raw checkpoint, if it has `config.json` and no weights for transformers.

    A training framework may write a configuration of its own under that name; transformers' names a model
    type, and then serves the checkpoint.
    """
    if has_weights(files):
        return files
    found = _recognized(files)
    kind = format_of(found)
    if kind is None or not kind.takes_model_config:
        return files
    own = files.folder if read_config(files).get("model_type") else None
    return replace(found, model_config=own)


def _recognized(files: ModelFiles) -> ModelFiles:
    """With the folder itself as a checkpoint, if it is in one of the formats."""
    recognized = recognized_format(files.folder)
    return replace(files, format=recognized, checkpoint=files.folder) if recognized else files


def _with_file(files: ModelFiles, path: Path, kind: str) -> ModelFiles:
    if kind == GGUF:
        return replace(files, gguf_file=path.name)
    return replace(files, format=kind, checkpoint=files.folder / path.name)
