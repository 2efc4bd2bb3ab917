"""Reads JSON that other programs wrote, and replaces lone surrogates in its texts."""

import json
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(content: str | bytes) -> Any:
    """The value of a JSON document, with U+FFFD in place of every lone surrogate, as decoders do.

    Raises:
        ValueError, RecursionError: it is not JSON, or nested too deeply.
    """
    value = json.loads(content)
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    return _without_surrogates(value) if _ESCAPED_SURROGATE.search(raw) else value


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value
