"""A hook of MkDocs: links out of docs/ lead to the repository, since the site has only docs/."""

import re
import tomllib
from pathlib import Path
from typing import Any

URLS = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))["project"][
    "urls"
]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """`](../examples/gate)` as a link to that file of the main branch."""
    return re.sub(r"\]\(\.\./([^)\s]+)\)", rf"]({URLS['Repository']}/blob/main/\1)", markdown)
