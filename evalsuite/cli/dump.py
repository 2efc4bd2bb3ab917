"""`evalsuite requests`: dump requests without a model."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli import options


def requests(
    tasks: options.Tasks,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for one Parquet file per task.")],
    hashes: Annotated[
        bool, typer.Option("--hashes", help="SHA-256 of the texts instead of the texts.")
    ] = False,
    recipe: options.Recipe = None,
    shots: options.Shots = None,
    split: options.Split = None,
    limit: options.Limit = None,
    data: options.Data = None,
    include: options.Include = None,
    allow_data_drift: options.AllowDataDrift = False,
) -> None:
    """Write all requests of tasks as Parquet; no model is needed."""
    from evalsuite.addresses import split_addresses
    from evalsuite.api import data_folder
    from evalsuite.dump import write_requests
    from evalsuite.prepare import prepare
    from evalsuite.registry import Registry
    from evalsuite.results.folder import disk_errors

    for selected in Registry.load(include or []).select(split_addresses(tasks), recipe, shots):
        prepared = prepare(
            selected, data_dir=data_folder(data), split=split, limit=limit, allow_drift=allow_data_drift
        )
        with disk_errors(out):
            path = write_requests(prepared, out, hashes)
        typer.echo(f"{path}: {len(prepared.documents)} documents")
        for note in prepared.notes:
            typer.echo(f"- {note}", err=True)
