"""Reports a bug of evalsuite: one sentence, and a file to attach to an issue."""

import platform
import re
import tempfile
import traceback
from collections.abc import Sequence
from importlib import metadata

from evalsuite.cli.say import warn

UNEXPECTED = 70
"""Exit code EX_SOFTWARE of sysexits.h; 1 means a missing score, 2 a user's mistake."""

PACKAGES = (
    "evalsuite",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "lm-eval",
    "vllm",
    "ray",
    "math-verify",
)
SECRET = re.compile(r"(?i)((?:key|token|secret|password|authorization)\w*[=:]\s*|(?<=//)[^/@\s]*:)[^\s/@]+")


def write_crash_report(error: BaseException, arguments: Sequence[str]) -> str:
    """Write the command, the versions and the traceback to a file; returns the sentence to show.

    Args:
        error: the unexpected exception.
        arguments: the command line; the file omits keys and passwords in it.
    """
    first = next(iter(str(error).strip().splitlines()), "")
    what = f"{type(error).__name__}{f': {first}' if first else ''}"
    text = without_secrets(_text(error, arguments))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="evalsuite-error-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            file.write(text)
    except OSError:
        warn(text)
        return (
            f"unexpected error ({what}). This is a bug in evalsuite: please open an issue with these lines."
        )
    return (
        f"unexpected error ({what}). This is a bug in evalsuite: please open an issue and attach "
        f"{file.name}. Stored answers are kept; the same command continues from them."
    )


def without_secrets(text: str) -> str:
    """The text without the values of keys, tokens and passwords, which it recognizes by their names."""
    return SECRET.sub(r"\1***", text)


def _text(error: BaseException, arguments: Sequence[str]) -> str:
    lines = [
        f"command: evalsuite {' '.join(arguments)}",
        f"python {platform.python_version()} on {platform.platform()}",
        *(f"{name} {version}" for name, version in _versions()),
        "",
        *traceback.format_exception(error),
    ]
    return "\n".join(line.rstrip("\n") for line in lines) + "\n"


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return found
