"""Text from elsewhere (names, rows, answers, messages) as a terminal may print it: nothing in it is a
command.

Escape sequences can set a window's title, clear the screen or hide text; bidirectional overrides reorder a
line.
"""

import unicodedata
from pathlib import Path
from typing import Any

from evalsuite.errors import UserError

COMMANDS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of what is no sign: control, format, half of a surrogate pair, separators of lines."""


def visible(text: str, keep: str = "") -> str:
    r"""The text with its control characters spelled out, for example `\x1b` and `\u202e`, except those to `keep`."""
    if text.isprintable():
        return text
    return "".join(one if one in keep or not _is_command(one) else _spelled(one) for one in text)


def visible_in_json(document: str) -> str:
    r"""A JSON document in which every control character is an escape of JSON's own; it means the same.

    `json` escapes those of ASCII; a terminal obeys others too, such as U+009B and the bidirectional
    overrides.
    """
    if document.isprintable():
        return document
    return "".join(
        one if one in "\n\r\t" or not _is_command(one) else _escaped_in_json(one) for one in document
    )


def writable(value: Any) -> Any:
    r"""A value with its texts as UTF-8 can hold them: half of a surrogate pair is spelled out (`\ud83d`)."""
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
        case list():
            return [writable(one) for one in value]
        case dict():
            return {key: writable(one) for key, one in value.items()}
    return value


def refuse_undecodable(what: str, path: str | Path) -> None:
    """Raises UserError where a path has bytes that are no UTF-8.

    Such names exist on Linux; the libraries that read weights, tokenizers and tables cannot take them.

    Args:
        what: names it in the error.
        path: a path, or a model's name.
    """
    whole = str(path)
    try:
        whole.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(
            f"{what} {visible(whole)}: the path has a byte that is no UTF-8; give the file or folder another "
            "name."
        ) from None


def _is_command(sign: str) -> bool:
    return not sign.isprintable() and unicodedata.category(sign) in COMMANDS


def _spelled(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def _escaped_in_json(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[start : start + 2].hex()}" for start in range(0, len(units), 2))
