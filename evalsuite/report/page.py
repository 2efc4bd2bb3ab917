"""Puts the page together: view models through the template, styles and scripts inline, samples packed.

Public names: `render_report`.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from evalsuite.report.against import pair_views
from evalsuite.report.embed import packed, payload
from evalsuite.report.marks import count
from evalsuite.report.source import RunSource
from evalsuite.report.view import run_view

if TYPE_CHECKING:
    from evalsuite.report.published import CardView

_SCRIPTS = ("data.js", "text.js", "detail.js", "browser.js", "page.js")


def render_report(
    sources: Sequence[RunSource],
    *,
    card: str | None = None,
    card_model: str | None = None,
    allow_protocol_drift: bool = False,
) -> str:
    """One HTML document; equal runs give equal bytes.

    Args:
        sources: opened runs; further ones are compared with the first.
        card: name of a card of published numbers, for the first run.
        card_model: whose numbers of the card, where it has several models.
        allow_protocol_drift: compare although prompt specs differ.

    Raises:
        UserError: runs that cannot be compared, or an unknown card.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    paths = [source.side.path for source in sources]
    pairs = pair_views(paths, allow_protocol_drift) if len(sources) > 1 else []
    document = payload(sources)
    style, script = _file("style.css"), _script()
    environment = Environment(
        loader=PackageLoader("evalsuite.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = count
    return environment.get_template("template.html").render(
        card=_card(paths[0], card, card_model) if card else None,
        runs=[run_view(source) for source in sources],
        pairs=pairs,
        documents=sum(len(task["rows"][0]) for task in document["tasks"]),
        style=Markup(style),
        style_hash=_hash(style),
        script=Markup(script),
        script_hash=_hash(script),
        payload=packed(document),
    )


def _card(path: Path, card: str, model: str | None) -> "CardView":
    from evalsuite.report.published import card_view

    return card_view(path, card, model)


def _script() -> str:
    """One function around all files: nothing of it is global."""
    return "(() => {\n'use strict';\n" + "\n".join(map(_file, _SCRIPTS)) + "})();\n"


def _file(name: str) -> str:
    return resources.files("evalsuite.report").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    """For the page's content security policy: no other script or style runs, whatever a sample holds."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
