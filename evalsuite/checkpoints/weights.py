"""Finds a model's weight files: those that transformers loads, in its own order of preference.

Everything that hashes, checks, measures or loads weights uses this module. Source of the order: transformers
5.17 to 5.23, `modeling_utils._get_resolved_checkpoint_files`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from evalsuite.checkpoints.files import read_config
from evalsuite.checkpoints.formats import format_of, formats_by_suffix
from evalsuite.checkpoints.headers import check_safetensors, count_parameters, read_gguf_header
from evalsuite.checkpoints.model_files import ModelFiles
from evalsuite.errors import ModelError

FORMS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""The forms of weights in a folder; the first that exists is loaded."""
INDEX = ".index.json"
NAMED_FORM = "transformers_weights"
"""Setting of `config.json` that names the form and takes precedence."""
DISTRIBUTED = "shard-*-model-*-of-*.safetensors"
"""Shards that training ranks wrote side by side (transformers 5.23 prefers them to all forms)."""
WEIGHTS_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".npz", ".h5", ".msgpack")


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight files of a folder."""

    form: str
    """Name of the file that transformers opens first: the whole model, or the index of its shards."""
    paths: Mapping[str, Path]
    """The files that hold the weights, by name within the folder, sorted."""
    unused: tuple[str, ...] = ()
    """Other weight files in the folder, which transformers does not load."""


def find_weights(files: ModelFiles) -> Weights:
    """The weights that are loaded: of a folder, of a GGUF file, or of a checkpoint in another format.

    Raises:
        ModelError: there are none, or a file that the index names is missing.
    """
    if files.gguf_path:
        return Weights(files.gguf_path.name, {files.gguf_path.name: files.gguf_path})
    if (found := format_of(files)) and files.checkpoint:
        return Weights(files.checkpoint.name, found.weight_files(files))
    form = _form(files)
    if form is None:
        raise ModelError(_why_none(files))
    paths = _paths(files, form)
    return Weights(form, paths, tuple(_unused(files.folder, form, paths)))


def weight_files(files: ModelFiles) -> tuple[Path, ...]:
    """The files that hold the weights, by name; errors as in `find_weights`."""
    return tuple(find_weights(files).paths.values())


def has_weights(files: ModelFiles) -> bool:
    """Whether there are weights in a form that transformers loads, complete or not."""
    return not files.is_hf_folder or _form(files) is not None


def weight_bytes(files: ModelFiles, item_bytes: int) -> int:
    """Bytes of the weights in memory, in a data type of `item_bytes` each.

    Parameters are counted from the headers of the weight files; a file whose header does not tell counts with
    its size on disk.
    """
    found = format_of(files)
    parameters = found.parameters(files) if found else None
    if parameters is not None:
        return parameters * item_bytes
    counts = ((path, count_parameters(path)) for path in weight_files(files))
    return sum(path.stat().st_size if count is None else count * item_bytes for path, count in counts)


def check(files: ModelFiles) -> None:
    """Refuse a model whose files are missing or truncated; only their headers are read.

    Raises:
        ModelError: names the file and what is wrong with it.
    """
    if files.gguf_path:
        read_gguf_header(files.gguf_path)
        return
    if found := format_of(files):
        found.check(files)
        return
    read_config(files)
    for path in weight_files(files):
        if path.suffix == ".safetensors":
            check_safetensors(path)


def read_index(files: ModelFiles, form: str) -> dict[str, Any]:
    """An index of weights: `weight_map` names the file of each tensor.

    Raises:
        ModelError: it is missing, unreadable, or names files outside of its folder.
    """
    path = files.folder / form
    try:
        index: dict[str, Any] = json.loads(path.read_text("utf-8"))
        names = {PurePosixPath(name) for name in index["weight_map"].values()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise ModelError(f"Model '{files.name}': {path} is not a readable index of weights.") from None
    if any(name.is_absolute() or ".." in name.parts for name in names) or not names:
        raise ModelError(f"Model '{files.name}': {path} names weight files outside of its folder, or none.")
    return index


def forms(files: ModelFiles) -> tuple[str, ...]:
    """The forms in which a folder may hold the weights, in order of preference.

    Raises:
        ModelError: the configuration names a file that is no form of weights.
    """
    named = read_config(files).get(NAMED_FORM) if (files.folder / "config.json").is_file() else None
    if not isinstance(named, str):
        return FORMS
    if PurePosixPath(named).name != named or not named.endswith((".safetensors", ".safetensors" + INDEX)):
        raise ModelError(
            f"Model '{files.name}': config.json gives {NAMED_FORM} as '{named}', which is neither a "
            "safetensors file of its folder nor the index of such files."
        )
    return (named,)


def _form(files: ModelFiles) -> str | None:
    return next((form for form in forms(files) if (files.folder / form).is_file()), None)


def _paths(files: ModelFiles, form: str) -> dict[str, Path]:
    names = sorted(set(read_index(files, form)["weight_map"].values())) if form.endswith(INDEX) else [form]
    missing = [name for name in names if not (files.folder / name).is_file()]
    if missing:
        raise ModelError(
            f"Model '{files.name}' lacks {len(missing)} of {len(names)} weight files in {files.folder}, "
            f"first {missing[0]}: get them again."
        )
    return {name: files.folder / name for name in names}


def _unused(folder: Path, form: str, used: Mapping[str, Path]) -> Iterator[str]:
    """Weights in other forms; an index whose shards are gone does not count."""
    for other in FORMS:
        path = folder / other
        if other in used or other == form or not path.is_file():
            continue
        if not other.endswith(INDEX) or _has_parts(path, used):
            yield other
    yield from sorted(path.name for path in folder.glob(DISTRIBUTED))[:1]


def _has_parts(index: Path, used: Mapping[str, Path]) -> bool:
    try:
        names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        return any(name not in used and (index.parent / name).is_file() for name in names)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def _why_none(files: ModelFiles) -> str:
    why = f"Model '{files.name}' has no weights ({FORMS[0]}, {FORMS[1]} or {FORMS[2]}) in {files.folder}"
    for suffix in formats_by_suffix():
        if checkpoints := sorted(files.folder.glob(f"*{suffix}")):
            return f"{why}: give --model {checkpoints[0]}."
    others = sorted(path.name for path in files.folder.glob("*") if path.suffix in WEIGHTS_ENDINGS)
    if others:
        return (
            f"{why}; {others[0]} is not a name that transformers loads: rename it if it is the whole model, "
            "or get the index of its parts."
        )
    return f"{why}."
