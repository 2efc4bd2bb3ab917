"""JSON that other programs wrote: its texts hold whole characters alone."""

import json
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(content: str | bytes) -> Any:
    """The value of a JSON document, with U+FFFD in place of every half of a surrogate pair, as decoders write
    what is no character.

    Raises:
        ValueError, RecursionError: it is not JSON, or nested beyond reason.
    """
    value = json.loads(content)
    return (
        _without_halves(value)
        if _ESCAPED_SURROGATE.search(
            content if isinstance(content, bytes) else content.encode("utf-8", "replace")
        )
        else value
    )


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_halves(one) for one in value]
    if isinstance(value, dict):
        return {_without_halves(name): _without_halves(one) for name, one in value.items()}
    return value
