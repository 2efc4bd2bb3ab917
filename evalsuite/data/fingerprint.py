"""A hash of a split's content that does not depend on its source."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from evalsuite.errors import DataError


def fingerprint(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 (hex) over one canonical JSON line per row, in row order.

    The lines have the form of `evalsuite.types.canonical_json`. The order of rows matters; the order of
    columns, the width of integers, and list, tuple or numpy array do not.

    Raises:
        DataError: a value is neither text, number, boolean, None, list nor dict.
    """
    # One encoder per split: json.dumps would create one per row.
    encoder = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_plain)
    digest = hashlib.sha256()
    for row in rows:
        digest.update((encoder.encode(row) + "\n").encode("utf-8", errors="surrogatepass"))
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """A numpy scalar or array as plain Python, recognized by its method, so that numpy is not imported."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise DataError(
        f"A row contains a {type(value).__name__} ({value!r:.60}); rows may contain text, numbers, booleans, "
        "None, lists and dicts: convert the column to text."
    )
