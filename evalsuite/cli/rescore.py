"""`evalsuite rescore`: new verdicts on the answers of a finished run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli import options

if TYPE_CHECKING:
    from evalsuite.rescoring import TaskChange
    from evalsuite.results.runlog import TaskRecord

WIDTH_OF_FILES = 200
SHOWN_DOCUMENTS = 10


def rescore(
    run: Annotated[Path, typer.Argument(help="Run folder or run.json file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New run folder [default: <run>-rescored].")
    ] = None,
    data: options.Data = None,
    include: options.Include = None,
    allow_failures: Annotated[
        bool, typer.Option("--allow-failures", help="Score a task although documents failed.")
    ] = False,
    allow_unsafe_code: Annotated[
        bool,
        typer.Option(
            "--allow-unsafe-code", help="Run code under resource limits alone, where no sandbox works."
        ),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Scoring processes [default: one per core].")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Score a finished run again from its stored answers, without a model, and say what changed."""
    from evalsuite.api import data_folder
    from evalsuite.registry import Registry
    from evalsuite.rescoring import rescore as rescored
    from evalsuite.scoring.verdict import Options

    folder = run if run.is_dir() else run.parent
    target = out or folder.resolve().with_name(f"{folder.resolve().name}-rescored")
    log, changes = rescored(
        run,
        target,
        Registry.load(include or []),
        data_dir=data_folder(data),
        allow_failures=allow_failures,
        options=Options(allow_unsafe_code=allow_unsafe_code, workers=workers),
    )
    if as_json:
        typer.echo(log.model_dump_json(indent=2))
    else:
        _print(changes)
        typer.echo(f"results in {target}")
    if log.status != "complete":
        raise typer.Exit(1)


def _print(changes: Sequence["TaskChange"]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_OF_FILES
    table = Table()
    for column in ("task", "metric", "before", "after", "changed documents"):
        table.add_column(column, justify="left" if column in ("task", "metric") else "right", overflow="fold")
    for change in changes:
        names = dict.fromkeys((*change.before.metrics, *change.after.metrics)) or {
            change.after.headline: None
        }
        for place, name in enumerate(names):
            task, count = (change.after.name, str(len(change.documents))) if place == 0 else ("", "")
            scores = (_shown(record, name) for record in (change.before, change.after))
            table.add_row(task, name, *scores, count)
    console.print(table)
    for line in _remarks(changes):
        console.print(f"- {line}", markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _shown(record: "TaskRecord", name: str) -> str:
    """Points of 100, or the unit of a metric that counts loss."""
    from evalsuite.results.pairs import lower_is_better

    if name not in record.metrics:
        return "—"
    value = record.metrics[name].value
    return f"{value:.4f}" if lower_is_better(name) else f"{100 * value:.2f}"


def _remarks(changes: Sequence["TaskChange"]) -> list[str]:
    lines = []
    for change in changes:
        name = change.after.name
        if change.documents:
            some = ", ".join(map(str, change.documents[:SHOWN_DOCUMENTS]))
            more = ", ..." if len(change.documents) > SHOWN_DOCUMENTS else ""
            lines.append(f"{name}: documents {some}{more} changed.")
        if change.after.prompt_sha256 != change.before.prompt_sha256:
            lines.append(
                f"{name}: scored by version {change.after.prompt_version} of its prompt spec, the run by version "
                f"{change.before.prompt_version}; the prompts are the same."
            )
        if change.after.problem:
            lines.append(f"{name}: {change.after.problem}{'' if change.after.metrics else '; no score'}.")
    return lines or ["Nothing changed."]
