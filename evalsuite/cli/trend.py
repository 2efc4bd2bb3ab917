"""`evalsuite trend`: show scores over the checkpoints of a training run."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli import options
from evalsuite.cli.decisions import malformed_input
from evalsuite.cli.say import say, say_json


def trend(
    runs: Annotated[list[Path], typer.Argument(help="Run folders or run.json files, one per checkpoint.")],
    steps: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated training steps [default: from names like step-12000, else 1, 2, ...]."
        ),
    ] = None,
    seeds: options.SeedRuns = None,
    plot: Annotated[Path | None, typer.Option(help="Also write a plot: FILE.svg, .png or .pdf.")] = None,
    allow_protocol_drift: Annotated[
        bool, typer.Option("--allow-protocol-drift", help="Continue even if prompt specs or data differ.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show scores over checkpoints, the noise between them, and which benchmarks detect progress."""
    from evalsuite.decisions.trend.trend import trend as trended

    with malformed_input():
        if plot is not None:
            from evalsuite.decisions.trend.plot import check_plot, plot_trend

            check_plot(plot)
        found = trended(
            *runs, steps=_numbers(steps), seeds=seeds or (), allow_protocol_drift=allow_protocol_drift
        )
        if plot is not None:
            plot_trend(found, plot)
    if as_json:
        say_json(found.model_dump_json(indent=2))
        return
    from evalsuite.decisions.trend.table import trend_markdown, trend_tables

    if markdown:
        say(trend_markdown(found), end="")
        return
    from evalsuite.cli.console import console, print_remarks

    output = console()
    for table in trend_tables(found):
        output.print(table)
    print_remarks(found.notes, output)


def _numbers(text: str | None) -> list[int] | None:
    from evalsuite.errors import UserError

    if text is None:
        return None
    try:
        return [int(part.strip().replace("_", "")) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--steps '{text}' is not a comma-separated list of whole numbers.") from None
