"""Finds the files of the model that `--model` names, on this machine or on the hub."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

from evalsuite.checkpoints.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, with_adapter
from evalsuite.checkpoints.aliases import Alias, aliases
from evalsuite.checkpoints.files import TOKENIZER_FILES
from evalsuite.checkpoints.formats import formats_by_suffix, listed, recognized_format
from evalsuite.checkpoints.model_files import ModelFiles
from evalsuite.checkpoints.weights import INDEX, check, find_weights, forms, read_index
from evalsuite.errors import ModelError, UnknownName
from evalsuite.files.caches import without_tilde
from evalsuite.offline import why_unreachable

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
WANTED = ("*.json", "*.txt", "*.py", *TOKENIZER_FILES)
"""Configuration and tokenizer; weights are downloaded separately."""
GGUF = "gguf"
GGUF_MAGIC = b"GGUF"


def resolve(
    name: str, *, revision: str | None = None, local_only: bool = False, cache_dir: Path | None = None
) -> ModelFiles:
    """Find the files of a model, downloading them where needed, and check their headers.

    `name` is an alias, a folder with config.json and safetensors (or with one GGUF file, or a PEFT adapter),
    a GGUF file, a file or folder in a `CheckpointFormat` such as a NeMo archive, or a hub id `org/name`,
    optionally `org/name@revision`.

    Args:
        revision: branch, tag or commit on the hub.
        local_only: use the hub's local cache only.
        cache_dir: folder of that cache; None is the hub's default.

    Raises:
        ModelError: one sentence that says what is wrong and what to do.
    """
    if not name.strip():
        raise ModelError(
            f"No model given: --model takes an alias, a folder, a {_suffixes_in_words()} file, or a hub id."
        )
    name_part, _, revision_part = name.partition("@")
    revision = revision or revision_part or None
    files = _local(name)
    if files and revision:
        raise ModelError(
            f"--revision {revision} is for models on the hub, and {name} is on this machine: leave it out, "
            "or give the folder of that revision."
        )
    files = files or _packaged(aliases().get(name_part), revision)
    if files is None:
        hub_id = _hub_id(name, name_part)
        files = _from_hub(ModelFiles(name, Path(), hub_id=hub_id, revision=revision), local_only, cache_dir)

    def base_of(base: str, base_revision: str | None) -> ModelFiles:
        return resolve(base, revision=base_revision, local_only=local_only, cache_dir=cache_dir)

    files = with_adapter(files, base_of)
    check(files)
    return files


def _local(name: str) -> ModelFiles | None:
    """The model at this path; None if there is nothing, or if it is an alias."""
    path = without_tilde(name)
    try:
        if name in aliases() or not path.exists():
            return None
    except OSError as error:  # no permission for a parent folder, or a name that is too long
        raise ModelError(f"Model '{name}' cannot be accessed: {error.strerror}.") from None
    if path.is_dir():
        files = ModelFiles(name, path.resolve())
        return files if (path / "config.json").is_file() else _single(files)
    kind = _format_of_file(path)
    if kind is None:
        raise ModelError(
            f"Model file {path} is not a {_suffixes_in_words()} file: give that, or a folder with "
            "config.json."
        )
    # The link's own name and folder: its target may have neither the suffix nor the neighbours.
    return _with_file(ModelFiles(name, path.parent.absolute()), path, kind)


def _formats() -> dict[str, str]:
    """GGUF and the installed formats, by the suffix of their files."""
    return {".gguf": GGUF, **formats_by_suffix()}


def _suffixes_in_words() -> str:
    """`.gguf or .nemo`, and the suffixes of further formats."""
    return listed(_formats(), "or")


def _format_of_file(path: Path) -> str | None:
    """The format of a file, by its suffix, the suffix of a link's target, or its first bytes."""
    formats = _formats()
    for name in (path, path.resolve()):
        if name.suffix in formats:
            return formats[name.suffix]
    try:
        with path.open("rb") as file:
            start = file.read(len(GGUF_MAGIC))
    except OSError as error:
        raise ModelError(f"Model file {path} cannot be read: {error.strerror}.") from None
    return GGUF if start == GGUF_MAGIC else recognized_format(path)


def _single(files: ModelFiles) -> ModelFiles:
    """With the one file in its folder that is a whole model, or with the folder itself as a checkpoint.

    Raises:
        ModelError: there are several such files.
    """
    for suffix, kind in _formats().items():
        found = sorted(files.folder.glob(f"*{suffix}"))
        if len(found) > 1:
            raise ModelError(
                f"Folder {files.folder} holds {len(found)} {suffix} files: give --model one of them."
            )
        if found:
            return _with_file(files, found[0], kind)
    recognized = recognized_format(files.folder)
    return replace(files, format=recognized, checkpoint=files.folder) if recognized else files


def _with_file(files: ModelFiles, path: Path, kind: str) -> ModelFiles:
    if kind == GGUF:
        return replace(files, gguf_file=path.name)
    return replace(files, format=kind, checkpoint=files.folder / path.name)


def _packaged(alias: Alias | None, revision: str | None) -> ModelFiles | None:
    """The GGUF file that an installed package ships, found without importing the package."""
    if alias is None or not alias.package or revision:
        return None
    spec = importlib.util.find_spec(alias.package)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(location).glob("*.gguf")):
            return ModelFiles(alias.name, path.parent, gguf_file=path.name)
    return None


def _hub_id(name: str, name_part: str) -> str:
    if alias := aliases().get(name_part):
        return alias.hub_id
    if _looks_like_path(name):
        raise ModelError(f"Model folder or file {name} does not exist.")
    if not HUB_ID.fullmatch(name_part):
        hint = (
            f"A model is an alias, a folder, a {_suffixes_in_words()} file, or a hub id such as "
            "nvidia/Nemotron-H-8B-Base-8K."
        )
        unknown = UnknownName("model", name, aliases(), hint)
        raise ModelError(str(unknown))
    return name_part


def _looks_like_path(name: str) -> bool:
    if name.startswith(("/", ".", "~")) or name.endswith((*_formats(), ".safetensors", "/")) or "\\" in name:
        return True
    return name.count("/") > 1


def _from_hub(wanted: ModelFiles, local_only: bool, cache_dir: Path | None) -> ModelFiles:
    """`wanted` with its folder in the hub's local cache; missing files are downloaded."""
    problem = None if local_only else why_unreachable()
    offline = local_only or bool(problem)
    try:
        return _downloaded(wanted, offline, cache_dir)
    except ModelError:
        if not offline:
            raise
        absent = f"Model {_described(wanted)} is not (or not fully) on this machine"
        reason = f"and the hub cannot be reached ({problem})" if problem else "and downloads are switched off"
        raise ModelError(
            f"{absent} {reason}; connect, or download it elsewhere and give --model the folder."
        ) from None


def _downloaded(wanted: ModelFiles, offline: bool, cache_dir: Path | None) -> ModelFiles:
    """With weights in the first form that the hub has; other forms are not downloaded."""
    files = _snapshot(wanted, WANTED, offline, cache_dir)
    adapted = (files.folder / ADAPTER_CONFIG).is_file()
    if adapted:
        _snapshot(files, ADAPTER_WEIGHTS, offline, cache_dir)
    for form in forms(files):
        path = files.folder / form
        if not form.endswith(INDEX):
            _snapshot(files, (form,), offline, cache_dir)
        elif path.is_file():
            _snapshot(files, tuple(read_index(files, form)["weight_map"].values()), offline, cache_dir)
        if path.is_file():
            find_weights(files)
            return files
    if adapted:
        return files
    _snapshot(files, tuple(f"*{suffix}" for suffix in formats_by_suffix()), offline, cache_dir)
    files = _single(files)
    find_weights(files)
    return files


def _described(wanted: ModelFiles) -> str:
    return f"'{wanted.name}'" if wanted.name == wanted.hub_id else f"'{wanted.name}' ({wanted.hub_id})"


def _snapshot(
    wanted: ModelFiles, patterns: tuple[str, ...], offline: bool, cache_dir: Path | None
) -> ModelFiles:
    from huggingface_hub import errors, snapshot_download

    try:
        folder = Path(
            snapshot_download(
                wanted.hub_id or wanted.name,
                revision=wanted.revision,
                cache_dir=cache_dir,
                local_files_only=offline,
                allow_patterns=list(patterns),
                # Repositories keep other formats of the same weights in subfolders.
                ignore_patterns=["*/*"],
            )
        )
    except errors.GatedRepoError:
        raise ModelError(
            f"Model {_described(wanted)} is gated: accept its licence on the hub, then log in with "
            "`hf auth login`."
        ) from None
    except errors.RevisionNotFoundError:
        raise ModelError(
            f"Model {_described(wanted)} has no revision '{wanted.revision}' on the hub."
        ) from None
    except errors.RepositoryNotFoundError:
        raise ModelError(
            f"The hub knows no model {_described(wanted)}, or you are not logged in to see it."
        ) from None
    except (OSError, ValueError, errors.HfHubHTTPError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise ModelError(f"Model {_described(wanted)} could not be downloaded: {first_line}") from None
    commit = folder.name if folder.parent.name == "snapshots" else wanted.revision
    return replace(wanted, folder=folder, revision=commit)
