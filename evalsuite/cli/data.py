"""`evalsuite data`: fetch what tasks need into a folder, for machines without a network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli import completion, options
from evalsuite.cli.say import say, warn

if TYPE_CHECKING:
    from evalsuite.prefetch.fetch import Fetched
    from evalsuite.prefetch.folder import DataFolder


def data(
    tasks: Annotated[
        str | None,
        typer.Option(
            "--tasks",
            "-t",
            help="Comma-separated addresses: [recipe/]task[:format][@shots].",
            autocompletion=completion.tasks,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to fill, for --data.")] = None,
    check: Annotated[
        Path | None, typer.Option("--check", help="Verify a folder that this command filled.")
    ] = None,
    recipe: options.RecipeName = None,
    shots: options.ShotCount = None,
    split: options.Split = None,
    data: options.Data = None,
    include: options.Include = None,
    allow_data_drift: options.AllowDataDrift = False,
) -> None:
    """Fetch all rows that tasks need into a folder for `--data`, or verify such a folder with --check."""
    from evalsuite.errors import UserError

    if check is not None:
        if tasks or out:
            raise UserError("--check verifies a folder alone; leave out --tasks and --out.")
        _check(check)
        return
    if not tasks or out is None:
        raise UserError("Give --tasks and --out to fetch data, or --check DIR to verify a folder.")
    _fetch(tasks, out, recipe, shots, split, data, include or [], allow_data_drift)


def _fetch(
    tasks: str,
    out: Path,
    recipe: str | None,
    shots: int | None,
    split: str | None,
    data: Path | None,
    include: list[Path],
    allow_drift: bool,
) -> None:
    from evalsuite.data.folder import data_folder
    from evalsuite.errors import StorageError, UserError
    from evalsuite.prefetch.fetch import fetch_task
    from evalsuite.prefetch.folder import opened
    from evalsuite.registry.addresses import split_addresses
    from evalsuite.registry.registry import Registry

    chosen = Registry.load(include).select(split_addresses(tasks), recipe, shots)
    source, missing = data_folder(data), []
    with opened(out) as folder:
        for selected in chosen:
            try:
                done = fetch_task(selected, folder, data_dir=source, split=split, allow_drift=allow_drift)
            except StorageError:
                raise
            except UserError as error:  # The other tasks are still fetched.
                missing.append(selected.name)
                warn(f"evalsuite: {selected.name}: {error}")
                continue
            _say_fetched(selected.name, done, folder)
        say(f"{out}: {len(folder.manifest.files)} files, {len(folder.written)} of them new")
    if missing:
        warn(f"evalsuite: {len(missing)} of {len(chosen)} tasks are incomplete: {', '.join(missing)}.")
        raise typer.Exit(2)


def _say_fetched(task: str, done: "Fetched", folder: "DataFolder") -> None:
    say(task)
    for name in done.data.files:
        file = folder.manifest.files[name]
        state = f"new, from {file.source}" if name in done.new else "there already"
        say(f"  {name}: {file.rows} rows, licence {file.licence}; {state}")
    used = {
        (one.package, one.version): "grades the answers" if one.grades else "has the worked examples"
        for one in done.data.packages
    }
    for (package, version), use in used.items():
        say(f"  install {package} {version} there, too: it {use}")
    for path in done.data.local:
        say(f"  not fetched: {path}")
    for note in done.notes:
        say(f"  note: {note}")


def _check(folder: Path) -> None:
    from evalsuite.prefetch.check import problems
    from evalsuite.prefetch.manifest import read_manifest

    manifest = read_manifest(folder)
    found = list(problems(folder))
    for problem in found:
        warn(problem)
    if found:
        warn(
            f"evalsuite: {folder} has {len(found)} problem{'s' if len(found) > 1 else ''}; 'evalsuite data' "
            "with the same --tasks and --out fetches missing and damaged files again."
        )
        raise typer.Exit(1)
    say(f"{folder}: {len(manifest.files)} files for {len(manifest.tasks)} tasks are complete")
