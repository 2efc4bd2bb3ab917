"""The Hugging Face hub and its local cache, through `datasets.load_dataset`.

`datasets` retries for minutes when nothing answers, so the hub is probed first, once per process.
Offline, `datasets` (5.2: `load.py`, `CachedDatasetModuleFactory`) takes the newest cached copy of a
configuration, whatever the revision.
"""

import functools
import logging
import os
import queue
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from evalsuite.data.found import Found, NotHere
from evalsuite.data.readers import plain_rows, require_columns
from evalsuite.data.refs import DatasetRef

if TYPE_CHECKING:
    import datasets

PROBE_SECONDS = 3.0


def from_hub(ref: DatasetRef, split: str) -> Found:
    """Rows of a split from the hub; from its local cache where the hub cannot be reached.

    Raises:
        NotHere: neither has it, or `datasets` cannot be imported.
        DataError: a column is missing.
    """
    away = why_away()
    try:
        with _offline() if away else nullcontext():
            dataset = _load(ref, split)
    except ImportError as error:
        raise NotHere(f"the package datasets cannot be imported ({error})") from error
    # Boundary: `datasets` raises whatever its transport, parsers and builders raise.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise NotHere(f"{away}, and its local cache does not have it" if away else reason) from error
    revision = _revision(dataset) or ref.revision or "main"
    source = f"hub {'cache ' if away else ''}{ref.id}@{revision}"
    require_columns(ref.columns, dataset.column_names, source)
    return Found(plain_rows(dataset.with_format("arrow")[:], ref.columns), source, _notes(ref, revision))


def why_away() -> str | None:
    """Why the hub cannot be asked, or None if it can."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}:
            return f"offline by {name}"
    return _why_silent((os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/"))


@functools.cache
def _why_silent(endpoint: str) -> str | None:
    """Why `endpoint` does not answer, or None if it does; waits `PROBE_SECONDS` at most."""
    # In a thread, because no time limit of urllib covers the look-up of the name.
    answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=lambda: answer.put(_knock(endpoint)), daemon=True).start()
    try:
        reason = answer.get(timeout=PROBE_SECONDS)
    except queue.Empty:
        reason = f"no answer in {PROBE_SECONDS:g} seconds"
    return reason and f"{endpoint} cannot be reached ({reason})"


def _knock(endpoint: str) -> str | None:
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError as error:
        # A refusal is an answer; a gateway that finds nothing behind it is not.
        return f"HTTP {error.code}" if error.code in (502, 503, 504) else None
    except urllib.error.URLError as error:
        # A certificate that urllib does not trust may be one that `datasets` was told to trust.
        return None if isinstance(error.reason, ssl.SSLError) else str(error.reason)
    except (OSError, ValueError) as error:
        return str(error)
    return None


def _load(ref: DatasetRef, split: str) -> "datasets.Dataset":
    import datasets

    return datasets.load_dataset(ref.id, ref.config, split=split, revision=ref.revision)


@contextmanager
def _offline() -> Iterator[None]:
    """Within it, `datasets` and `huggingface_hub` answer from their caches at once, and quietly.

    Both copy the environment variables into module flags when they are imported, so the flags are
    what counts. They are put back: a model may still be fetched from elsewhere.
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
    """Commit of a loaded data set: `datasets` names the cache folder of a hub data set after it."""
    files = dataset.cache_files
    folder = Path(files[0]["filename"]).parent.name if files else ""
    return folder if len(folder) == 40 else None


def _notes(ref: DatasetRef, revision: str) -> tuple[str, ...]:
    if ref.revision is None or revision.startswith(ref.revision):
        return ()
    return (f"{ref.id} is at revision {revision}, not at {ref.revision} as its reference names it.",)
