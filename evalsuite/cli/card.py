"""`evalsuite card`: compare a run with published numbers."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli import options
from evalsuite.cli.decisions import malformed_input
from evalsuite.cli.say import say, say_json


def card(
    run: Annotated[Path, typer.Argument(help="Run folder or run.json.")],
    name: Annotated[
        str,
        typer.Option(
            "--card", "-c", help="Name of a card (see evalsuite list cards), or your own YAML file."
        ),
    ],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model of the card, if the card has several.")
    ] = None,
    accept_inferred: Annotated[
        bool,
        typer.Option("--accept-inferred", help="Treat inferred and open settings as stated ones."),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Compare a run with published numbers: agrees, differs, or not comparable, with the reason."""
    from evalsuite.decisions.card.compare import compare_with_card

    with malformed_input():
        comparison = compare_with_card(run, name, model=model, accept_inferred=accept_inferred)
    if as_json:
        say_json(comparison.model_dump_json(indent=2))
        return
    from evalsuite.decisions.card.table import card_markdown, card_table

    if markdown:
        say(card_markdown(comparison), end="")
        return
    from evalsuite.cli.console import console, print_remarks

    output = console()
    output.print(card_table(comparison))
    print_remarks(comparison.notes, output)
