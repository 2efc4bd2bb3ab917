"""`evalsuite export`: write a finished run in another tool's format."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli.decisions import malformed_input
from evalsuite.cli.say import say, warn


def export(
    run: Annotated[Path, typer.Argument(help="Run folder or run.json file.")],
    format: Annotated[
        str,
        typer.Option("--format", "-f", help="lm-eval, hf-eval-results, every-eval-ever or csv."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for the files [default: export/FORMAT in the run's folder]."
        ),
    ] = None,
    organization: Annotated[
        str, typer.Option(help="Who evaluated, for the formats that name the evaluator.")
    ] = "unknown",
    relationship: Annotated[
        str,
        typer.Option(
            help="Relation to the model's makers: first_party, third_party, collaborative or other."
        ),
    ] = "other",
    url: Annotated[str, typer.Option(help="Address where the run is published.")] = "",
) -> None:
    """Write a run for other tools: lm-eval, the hub's model pages, Every Eval Ever, spreadsheets."""
    from evalsuite.export import export as exported
    from evalsuite.export.publisher import Publisher

    with malformed_input():
        written = exported(run, format, out=out, publisher=Publisher(organization, relationship, url))
    for path in written.paths:
        say(str(path))
    for remark in written.remarks:
        warn(f"Note: {remark}.")
