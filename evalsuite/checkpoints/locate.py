"""Finds the files of the model that `--model` names, on this machine or on the hub."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from evalsuite.checkpoints.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, with_adapter, with_given_adapter
from evalsuite.checkpoints.aliases import Alias, aliases
from evalsuite.checkpoints.files import TOKENIZER_FILES
from evalsuite.checkpoints.formats import formats_by_suffix
from evalsuite.checkpoints.local import known_suffixes, local_model, single_model, suffixes_in_words
from evalsuite.checkpoints.locate_config import with_model_config
from evalsuite.checkpoints.model_files import HUB_ID, ModelFiles
from evalsuite.checkpoints.weights import INDEX, check, find_weights, forms, read_index
from evalsuite.errors import ModelError, UnknownName
from evalsuite.offline import why_unreachable

WANTED = ("*.json", "*.txt", "*.py", *TOKENIZER_FILES)
"""Configuration and tokenizer; weights are downloaded separately."""


def resolve(
    name: str,
    *,
    revision: str | None = None,
    model_config: str | None = None,
    adapter: str | None = None,
    local_only: bool = False,
    cache_dir: Path | None = None,
) -> ModelFiles:
    """Find the files of a model, downloading them where needed, and check their headers.

    `name` is an alias, a folder with config.json and safetensors (or with one GGUF file, or a PEFT adapter),
    a GGUF file, a file or folder in a `CheckpointFormat` such as a NeMo archive, or a hub id `org/name`,
    optionally `org/name@revision`.

    Args:
        name: as above.
        revision: branch, tag or commit on the hub.
        model_config: folder, alias or hub id with the configuration and tokenizer of a raw checkpoint.
        adapter: folder of a PEFT adapter that is applied to the model.
        local_only: use the hub's local cache only.
        cache_dir: folder of that cache; None is the hub's default.

    Raises:
        ModelError: one sentence that says what is wrong and what to do.
    """
    if not name.strip():
        raise ModelError(
            f"No model given: --model takes an alias, a folder, a {suffixes_in_words()} file, or a hub id."
        )
    name_part, _, revision_part = name.partition("@")
    revision = revision or revision_part or None
    files = local_model(name)
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
        return resolve(
            base,
            revision=base_revision,
            model_config=model_config,
            local_only=local_only,
            cache_dir=cache_dir,
        )

    def config_of(config: str) -> Path:
        config_part, _, config_revision = config.partition("@")
        hub_id = _hub_id(config, config_part)
        wanted = ModelFiles(config, Path(), hub_id=hub_id, revision=config_revision or None)
        return _from_hub(wanted, local_only, cache_dir, _without_weights).folder

    files = with_adapter(files, base_of)
    if adapter is not None:
        files = with_given_adapter(files, adapter)
    if model_config is not None:
        files = with_model_config(files, model_config, config_of)
    check(files)
    return files


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
            f"A model is an alias, a folder, a {suffixes_in_words()} file, or a hub id such as "
            "nvidia/Nemotron-H-8B-Base-8K."
        )
        unknown = UnknownName("model", name, aliases(), hint)
        raise ModelError(str(unknown))
    return name_part


def _looks_like_path(name: str) -> bool:
    if (
        name.startswith(("/", ".", "~"))
        or name.endswith((*known_suffixes(), ".safetensors", "/"))
        or "\\" in name
    ):
        return True
    return name.count("/") > 1


def _from_hub(
    wanted: ModelFiles,
    local_only: bool,
    cache_dir: Path | None,
    download: Callable[[ModelFiles, bool, Path | None], ModelFiles] | None = None,
) -> ModelFiles:
    """`wanted` with its folder in the hub's local cache; missing files are downloaded, all by default."""
    problem = None if local_only else why_unreachable()
    offline = local_only or bool(problem)
    try:
        return (download or _downloaded)(wanted, offline, cache_dir)
    except ModelError:
        if not offline:
            raise
        absent = f"Model {_described(wanted)} is not (or not fully) on this machine"
        reason = f"and the hub cannot be reached ({problem})" if problem else "and downloads are switched off"
        raise ModelError(
            f"{absent} {reason}; connect, or download it elsewhere and give --model the folder."
        ) from None


def _without_weights(wanted: ModelFiles, offline: bool, cache_dir: Path | None) -> ModelFiles:
    files = _snapshot(wanted, WANTED, offline, cache_dir)
    if not (files.folder / "config.json").is_file():
        raise ModelError(f"Model {_described(wanted)} has no config.json.")
    return files


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
    files = single_model(files)
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
