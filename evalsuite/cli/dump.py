"""`evalsuite requests`: write the requests of tasks without a model."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli import options
from evalsuite.cli.say import say, warn


def requests(
    tasks: options.Tasks,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for one Parquet file per task.")],
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Write SHA-256 digests in place of the texts.")
    ] = False,
    recipe: options.RecipeName = None,
    shots: options.ShotCount = None,
    split: options.Split = None,
    limit: options.Limit = None,
    sample: options.SampleSize = None,
    seed: Annotated[int, typer.Option(help="Seed of --sample.")] = 0,
    data: options.Data = None,
    include: options.Include = None,
    allow_data_drift: options.AllowDataDrift = False,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Also write the token ids of this model's tokenizer.")
    ] = None,
    tokenizer: options.TokenizerName = None,
    bos: options.BosToken = None,
    prefix_token: options.PrefixToken = None,
    max_length: options.MaxLength = None,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Write all requests of tasks as Parquet, without a model; with a tokenizer also their token ids."""
    from evalsuite.api import known_bos
    from evalsuite.data.folder import data_folder
    from evalsuite.data.subset import Subset
    from evalsuite.engine.token_options import TokenOptions
    from evalsuite.errors import DataError
    from evalsuite.registry.addresses import split_addresses
    from evalsuite.registry.registry import Registry
    from evalsuite.requests.prepare import prepare
    from evalsuite.requests.tokens import encoded_with
    from evalsuite.results.folder import disk_errors
    from evalsuite.runs.dump import write_requests

    chosen = Registry.load(include or []).select(split_addresses(tasks), recipe, shots)
    subset = Subset(limit, sample, seed)
    tokens = TokenOptions(tokenizer, prefix_token, max_length)
    missing = []
    for selected in chosen:
        try:
            prepared = prepare(
                selected.with_bos(known_bos(bos)),
                data_dir=data_folder(data),
                split=split,
                subset=subset,
                allow_drift=allow_data_drift,
            )
        except DataError as error:  # The other tasks are still written.
            if len(chosen) == 1:
                raise
            missing.append(selected.name)
            warn(f"evalsuite: {selected.name}: {error}")
            continue
        asked = None
        if model is not None or tokenizer is not None:
            _, asked = encoded_with(prepared, model, tokens, trust_remote_code)
        with disk_errors(out):
            path = write_requests(prepared, out, hashes, asked)
        say(f"{path}: {len(prepared.documents)} documents")
        for note in prepared.notes:
            warn(f"- {note}")
    if missing:
        warn(f"evalsuite: {len(missing)} of {len(chosen)} tasks were skipped: {', '.join(missing)}.")
        raise typer.Exit(2)
