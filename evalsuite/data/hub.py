"""Loads splits from the Hugging Face hub and its local cache with `datasets.load_dataset`.

`datasets` retries for minutes if the hub does not answer, so that the hub is probed first, once per process.
Offline, `datasets` (5.2: `load.py`, `CachedDatasetModuleFactory`) uses the newest cached copy of a
configuration of any revision.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from evalsuite.data.found import FoundSplit, NotHere
from evalsuite.data.readers import plain_rows, require_columns
from evalsuite.data.refs import DatasetRef
from evalsuite.offline import why_unreachable

if TYPE_CHECKING:
    import datasets


def from_hub(ref: DatasetRef, split: str) -> FoundSplit:
    """Rows of a split from the hub, or from its local cache if the hub is unreachable.

    Raises:
        NotHere: neither has the split, or `datasets` cannot be imported.
        DataError: a column is missing.
    """
    away = why_unreachable("HF_DATASETS_OFFLINE")
    try:
        with offline() if away else nullcontext():
            dataset = _load(ref, split)
    except ImportError as error:
        raise NotHere(f"the package datasets cannot be imported ({error})") from error
    # `datasets` raises any error of its transport, parsers and builders.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise NotHere(f"{away}, and its local cache does not have it" if away else reason) from error
    revision = _revision(dataset) or ref.revision or "main"
    source = f"hub {'cache ' if away else ''}{ref.id}@{revision}"
    require_columns(ref.columns, dataset.column_names, source)
    return FoundSplit(plain_rows(dataset.with_format("arrow")[:], ref.columns), source, _notes(ref, revision))


def _load(ref: DatasetRef, split: str) -> "datasets.Dataset":
    import datasets

    if split in ref.data_files:
        files = {split: ref.data_files[split]}
        # Without this check, `datasets` would miss the other splits that the configuration declares.
        return datasets.load_dataset(
            ref.id, data_files=files, split=split, revision=ref.revision, verification_mode="no_checks"
        )
    return datasets.load_dataset(ref.id, ref.config, split=split, revision=ref.revision)


@contextmanager
def offline() -> Iterator[None]:
    """Make `datasets` and `huggingface_hub` use only their caches, without delay or log messages.

    Both copy the environment variables into module flags at import, so that the flags must be set. They are
    restored afterwards, since a model may still be downloaded.
    """
    import datasets
    import huggingface_hub

    flags = [
        (huggingface_hub.constants, "HF_HUB_OFFLINE"),
        (datasets.config, "HF_HUB_OFFLINE"),
        (datasets.config, "HF_DATASETS_OFFLINE"),
    ]
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    before = [(module, name, getattr(module, name)) for module, name in flags]
    levels = [(logger, logger.level) for logger in loggers]
    try:
        for module, name in flags:
            setattr(module, name, True)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        for logger, level in levels:
            logger.setLevel(level)


def _revision(dataset: "datasets.Dataset") -> str | None:
    """Commit of a loaded dataset, which is the name of its cache folder."""
    files = dataset.cache_files
    folder = Path(files[0]["filename"]).parent.name if files else ""
    return folder if len(folder) == 40 else None


def _notes(ref: DatasetRef, revision: str) -> tuple[str, ...]:
    if ref.revision is None or revision.startswith(ref.revision):
        return ()
    return (f"{ref.id} has revision {revision}, but the task's reference names {ref.revision}.",)
