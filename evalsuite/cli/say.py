"""Prints text with control characters shown, so that no name, path or message can control a terminal.

Commands print only through these functions and `console`.
"""

import sys

from evalsuite.visible import visible, visible_in_json


def say(text: str = "", *, end: str = "\n") -> None:
    """Print one or more lines on standard output."""
    sys.stdout.write(visible(text, keep="\n\t") + end)
    sys.stdout.flush()


def say_json(document: str, *, to_stderr: bool = False, end: str = "\n") -> None:
    """Print JSON documents on standard output."""
    stream = sys.stderr if to_stderr else sys.stdout
    stream.write(visible_in_json(document) + end)
    stream.flush()


def warn(text: str) -> None:
    """Print a sentence on standard error."""
    sys.stderr.write(visible(text, keep="\n") + "\n")
    sys.stderr.flush()
