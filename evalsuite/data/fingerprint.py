"""One hash for the content of a split, whichever source it came from."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from evalsuite.errors import DataError


def fingerprint(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 (hex) over one canonical JSON line per row, in row order.

    The lines are spelled as `evalsuite.types.canonical_json` spells them. Order of rows matters;
    order of columns, width of integers, and list, tuple or numpy array do not.

    Raises:
        DataError: a value is neither text, number, truth value, None, list nor dict.
    """
    # Made once per split: json.dumps would make an encoder per row.
    encoder = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_plain)
    digest = hashlib.sha256()
    for row in rows:
        digest.update((encoder.encode(row) + "\n").encode("utf-8", errors="surrogatepass"))
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """A numpy scalar or array as plain Python; found by its method, so that numpy is not imported."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    raise DataError(
        f"A row holds a {type(value).__name__} ({value!r:.60}); rows may hold text, numbers, truth values, "
        "None, lists and dicts: convert the column to text."
    )
