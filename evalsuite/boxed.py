r"""The boxed answer of a worked solution in LaTeX."""

import re


def extract_boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{...}`, braces matched; None where there is none or it does not close."""
    opening = r"\boxed{"
    start = text.rfind(r"\boxed")
    if start < 0 or not text.startswith(opening, start):
        return None
    depth = 0
    for brace in re.finditer("[{}]", text[start:]):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return text[start + len(opening) : start + brace.start()]
    return None
