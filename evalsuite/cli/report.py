"""`evalsuite report`: write runs as one HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli.decisions import malformed_input
from evalsuite.cli.say import say


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders or run.json files; the others are compared with the first."),
    ],
    html: Annotated[
        Path | None,
        typer.Option(help="Self-contained page [default: report.html in the first run's folder]."),
    ] = None,
    card: Annotated[
        str | None, typer.Option(help="Compare the first run with this card of published numbers.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model of the card, if the card has several.")] = None,
    latex: Annotated[Path | None, typer.Option(help="Also write the score table as LaTeX.")] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Also write the score table as CSV, with all digits.")
    ] = None,
    allow_protocol_drift: Annotated[
        bool, typer.Option("--allow-protocol-drift", help="Compare even if prompt specs differ.")
    ] = False,
    log: Annotated[
        list[str] | None,
        typer.Option(help="Send the scores to wandb, mlflow, trackio or tensorboard; repeatable."),
    ] = None,
    project: Annotated[
        str, typer.Option(help="With --log: project or experiment; for tensorboard the log directory.")
    ] = "evalsuite",
    tracker_run: Annotated[
        str | None, typer.Option(help="With --log: add the runs as points to this run of a training.")
    ] = None,
    step: Annotated[
        int | None, typer.Option(min=0, help="Training step of the point [default: in the run's name].")
    ] = None,
) -> None:
    """Write an HTML page with scores, comparison, plots and all samples; it needs no network."""
    from evalsuite.report import report as written

    with malformed_input():
        paths = written(
            *runs,
            html=html,
            latex=latex,
            csv=csv,
            card=card,
            card_model=model,
            allow_protocol_drift=allow_protocol_drift,
            log=log or [],
            project=project,
            tracker_run=tracker_run,
            step=step,
        )
    for path in paths:
        say(f"{path}: {path.stat().st_size / 1e6:.1f} MB" if path.stat().st_size > 1e5 else str(path))
