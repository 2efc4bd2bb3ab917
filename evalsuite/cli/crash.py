"""What a fault of evalsuite's own leaves behind: one sentence, and a file to send."""

import platform
import re
import tempfile
import traceback
from collections.abc import Sequence
from importlib import metadata

from evalsuite.cli.say import warn

UNEXPECTED = 70
"""Exit code (EX_SOFTWARE of sysexits.h): neither a score that is missing (1) nor a mistake of the user's
(2)."""

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


def report(error: BaseException, arguments: Sequence[str]) -> str:
    """Write a file with the command, the versions and the traceback; gives the sentence to show.

    Args:
        error: what nobody expected.
        arguments: the command line; keys and passwords in it are left out of the file.
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
        return f"an unexpected error ({what}); this is a fault of evalsuite: please send the lines above with an issue."
    return (
        f"an unexpected error ({what}); this is a fault of evalsuite: please send {file.name} with an issue. Stored "
        "answers are kept, and the same command continues."
    )


def without_secrets(text: str) -> str:
    """The text without the values of keys, tokens and passwords, as far as their names tell."""
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
