"""Renders the page from the template, with inline styles and scripts and packed samples.

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
        sources: opened runs; the others are compared with the first.
        card: name of a card of published numbers to compare the first run with.
        card_model: model of the card, needed if the card has several.
        allow_protocol_drift: compare even if prompt specs differ.

    Raises:
        UserError: the runs cannot be compared, or the card is unknown.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    paths = [source.side.path for source in sources]
    pairs = pair_views(sources, allow_protocol_drift) if len(sources) > 1 else []
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
    """All scripts in one function, so that nothing is global."""
    return "(() => {\n'use strict';\n" + "\n".join(map(_file, _SCRIPTS)) + "})();\n"


def _file(name: str) -> str:
    return resources.files("evalsuite.report").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    """Hash for the content security policy, which blocks scripts and styles that samples may contain."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
