"""`evalsuite merge`: merge the shards of a run into one finished run."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli import options
from evalsuite.cli.run import print_results


def merge(
    shards: Annotated[
        list[Path], typer.Argument(help="Folders that `run --shard` wrote, one for each shard.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder [default: results/runs/<model>-<hash>].")
    ] = None,
    data: options.Data = None,
    include: options.Include = None,
    allow_failures: options.AllowFailures = False,
    allow_unsafe_code: options.AllowUnsafeCode = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Merge the shards of a run into the run that one process would have written; loads no model."""
    from evalsuite.cli.progress import live_progress
    from evalsuite.data.folder import data_folder
    from evalsuite.registry.registry import Registry
    from evalsuite.runs.merge import merge as merged

    with live_progress(quiet, verbose) as progress:
        log, folder = merged(
            shards,
            out,
            Registry.load(include or []),
            data_dir=data_folder(data),
            allow_failures=allow_failures,
            allow_unsafe_code=allow_unsafe_code,
            progress=progress,
        )
    print_results(log, as_json, folder)
    if log.status != "complete":
        raise typer.Exit(1)
