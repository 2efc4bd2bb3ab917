"""`evalsuite rescore`: score the stored answers of a finished run again."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli import options
from evalsuite.cli.say import say, say_json

if TYPE_CHECKING:
    from evalsuite.results.runlog import TaskRecord
    from evalsuite.runs.rescore import TaskChange

SHOWN_DOCUMENTS = 10


def rescore(
    run: Annotated[Path, typer.Argument(help="Run folder or run.json file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New run folder [default: <run>-rescored].")
    ] = None,
    data: options.Data = None,
    include: options.Include = None,
    allow_failures: options.AllowFailures = False,
    allow_unsafe_code: options.AllowUnsafeCode = False,
    workers: options.ScoringWorkers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Score a finished run again from its stored answers, without a model, and show the changes."""
    from evalsuite.cli.progress import live_progress
    from evalsuite.data.folder import data_folder
    from evalsuite.registry.registry import Registry
    from evalsuite.runs.rescore import rescore as rescored
    from evalsuite.scoring.verdict import Options

    folder = run if run.is_dir() else run.parent
    target = out or folder.resolve().with_name(f"{folder.resolve().name}-rescored")
    with live_progress(quiet, verbose) as progress:
        log, changes = rescored(
            run,
            target,
            Registry.load(include or []),
            data_dir=data_folder(data),
            allow_failures=allow_failures,
            options=Options(allow_unsafe_code=allow_unsafe_code, workers=workers),
            progress=progress,
        )
    if as_json:
        say_json(log.model_dump_json(indent=2))
    else:
        _print(changes)
        say(f"results in {target}")
    if log.status != "complete":
        raise typer.Exit(1)


def _print(changes: Sequence["TaskChange"]) -> None:
    from rich.table import Table

    from evalsuite.cli.console import console, print_remarks

    table = Table()
    for column in ("task", "metric", "before", "after", "changed documents"):
        table.add_column(column, justify="left" if column in ("task", "metric") else "right", overflow="fold")
    for change in changes:
        names = dict.fromkeys((*change.before.metrics, *change.after.metrics)) or {
            change.after.headline: None
        }
        for index, name in enumerate(names):
            task, count = (change.after.name, str(len(change.documents))) if index == 0 else ("", "")
            scores = (_shown(record, name) for record in (change.before, change.after))
            table.add_row(task, name, *scores, count)
    output = console()
    output.print(table)
    print_remarks(_remarks(changes), output)


def _shown(record: "TaskRecord", name: str) -> str:
    """The score in points of 100, or in its own unit if lower is better."""
    from evalsuite.stats.metrics import lower_is_better

    if name not in record.metrics:
        return "—"
    value = record.metrics[name].value
    return f"{value:.4f}" if lower_is_better(name) else f"{100 * value:.2f}"


def _remarks(changes: Sequence["TaskChange"]) -> list[str]:
    lines = []
    for change in changes:
        name = change.after.name
        if change.documents:
            first = ", ".join(map(str, change.documents[:SHOWN_DOCUMENTS]))
            more = ", ..." if len(change.documents) > SHOWN_DOCUMENTS else ""
            lines.append(f"{name}: documents {first}{more} changed.")
        if change.after.prompt_sha256 != change.before.prompt_sha256:
            lines.append(
                f"{name}: scored with version {change.after.prompt_version} of its prompt spec; the run used "
                f"version {change.before.prompt_version}. The prompts are identical."
            )
        if change.after.problem:
            lines.append(f"{name}: {change.after.problem}{'' if change.after.metrics else '; no score'}.")
    return lines or ["Nothing changed."]
