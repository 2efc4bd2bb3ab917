"""Makes untrusted text (names, rows, answers, messages) safe to print on a terminal.

Escape sequences can set a window's title, clear the screen or hide text; bidirectional overrides reorder a
line.
"""

import unicodedata
from pathlib import Path
from typing import Any

from evalsuite.errors import UserError

COMMANDS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of non-printing characters: control, format, lone surrogate, line separators."""


def visible(text: str, keep: str = "") -> str:
    r"""The text with control characters written as escapes (`\x1b`, `\u202e`), except those in `keep`."""
    if text.isprintable():
        return text
    return "".join(char if char in keep or not _is_command(char) else _spelled(char) for char in text)


def visible_in_json(document: str) -> str:
    r"""The JSON document with every control character as a JSON escape; its meaning stays the same.

    `json` escapes the ASCII control characters; a terminal obeys others too, such as U+009B and the
    bidirectional overrides.
    """
    if document.isprintable():
        return document
    return "".join(
        char if char in "\n\r\t" or not _is_command(char) else _escaped_in_json(char) for char in document
    )


def writable(value: Any) -> Any:
    r"""The value with texts that UTF-8 can encode: a lone surrogate is written as an escape (`\ud83d`)."""
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
        case list():
            return [writable(item) for item in value]
        case dict():
            return {key: writable(item) for key, item in value.items()}
    return value


def refuse_undecodable(what: str, path: str | Path) -> None:
    """Raises UserError if a path is not valid UTF-8.

    Linux allows such names; the libraries that read weights, tokenizers and tables reject them.

    Args:
        what: the name of the thing in the error.
        path: a path, or a model's name.
    """
    whole = str(path)
    try:
        whole.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(
            f"{what} {visible(whole)}: the path is not valid UTF-8; rename the file or folder."
        ) from None


def _is_command(char: str) -> bool:
    return not char.isprintable() and unicodedata.category(char) in COMMANDS


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _escaped_in_json(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[start : start + 2].hex()}" for start in range(0, len(units), 2))
