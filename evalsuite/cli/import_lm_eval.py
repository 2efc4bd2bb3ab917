"""`evalsuite import-lm-eval`: import results of lm-evaluation-harness as a run."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli import options


def import_lm_eval(
    file: Annotated[
        Path,
        typer.Argument(help="results_*.json of lm-eval, or the folder that holds it and samples_*.jsonl."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Run folder [default: results/imported/<name of the file>]."),
    ] = None,
    data: options.Data = None,
    include: options.Include = None,
    as_json: options.AsJson = False,
) -> None:
    """Turn results of lm-eval into a run for compare, card, gate, trend and report."""
    from evalsuite.cli.run import print_results
    from evalsuite.data.folder import data_folder
    from evalsuite.lm_eval_bridge.importing import import_results

    folder = out or Path("results", "imported", file.stem)
    log = import_results(file, folder, data_folder(data), include or [])
    print_results(log, as_json, folder)
    if any(task.problem for task in log.tasks):
        raise typer.Exit(1)
