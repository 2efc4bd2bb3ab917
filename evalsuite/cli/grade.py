"""`evalsuite grade`: score texts that were generated elsewhere."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli import options
from evalsuite.cli.say import say_json

if TYPE_CHECKING:
    from evalsuite.runs.grade import Grade, Summary


def grade(
    address: Annotated[str, typer.Argument(help="[recipe/]task[:format][@shots]")],
    responses: Annotated[
        Path,
        typer.Option(
            "--responses",
            "-r",
            help='JSON Lines: {"doc": 0, "text": "..."} or {"doc": 0, "texts": [...]}, with "gold" if you like.',
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File for the verdicts [default: standard output].")
    ] = None,
    recipe: options.Recipe = None,
    split: options.Split = None,
    data: options.Data = None,
    include: options.Include = None,
    allow_data_drift: options.AllowDataDrift = False,
    allow_failures: options.AllowFailures = False,
    allow_unsafe_code: options.AllowUnsafeCode = False,
    workers: options.ScoringWorkers = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Score texts that were generated elsewhere, line by line, as a run of the task would.

    Each verdict line says whether its text is correct, the answer found in it, and which grader decided. Exit
    code 0 only if every text got a verdict.
    """
    from evalsuite.cli.progress import live_progress
    from evalsuite.data.folder import data_folder
    from evalsuite.progress import verdicts_of
    from evalsuite.registry.registry import Registry
    from evalsuite.runs.grade import grade as graded
    from evalsuite.runs.grade import summary
    from evalsuite.runs.responses_file import read_responses
    from evalsuite.scoring.verdict import Options

    [selected] = Registry.load(include or []).select([address], recipe)
    lines = read_responses(responses)
    if out is not None:
        _check_place(out)
    with live_progress(quiet, verbose) as progress:
        grades, notes = graded(
            selected,
            lines,
            data_dir=data_folder(data),
            split=split,
            allow_drift=allow_data_drift,
            options=Options(allow_unsafe_code, workers, verdicts_of(progress, selected.name)),
        )
    _write(grades, out)
    told = summary(grades, allow_failures)
    if as_json:
        say_json(json.dumps(asdict(told), indent=2), to_stderr=out is None)
    else:
        _print(selected.name, told, notes, to_stderr=out is None)
    if told.without_verdict:
        raise typer.Exit(1)


def _check_place(out: Path) -> None:
    """Raises UserError where nothing can be written: better before the work than after it."""
    from evalsuite.errors import UserError

    there = next(folder for folder in out.absolute().parents if folder.exists())
    if out.is_dir() or not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"--out {out}: a file cannot be written there.")


def _write(grades: Sequence["Grade"], out: Path | None) -> None:
    # Half of a surrogate pair is text to JSON but not to UTF-8; JSON's escape of it is both.
    text = "".join(json.dumps(one.record(), ensure_ascii=False) + "\n" for one in grades)
    if out is None:
        say_json(text, end="")
        return
    from evalsuite.results.folder import disk_errors

    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = out.with_name(out.name + ".unfinished")
        unfinished.write_bytes(text.encode("utf-8", errors="backslashreplace"))
        os.replace(unfinished, out)


def _print(name: str, told: "Summary", notes: Sequence[str], to_stderr: bool) -> None:
    from rich.table import Table

    from evalsuite.cli.console import console, print_remarks

    output = console(to_stderr=to_stderr)
    table = Table(title=name, title_justify="left")
    for column in ("metric", "score", "stderr", "95 % interval", "lines"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for metric, score in told.scores.items():
        stderr = "—" if score.stderr is None else f"{100 * score.stderr:.2f}"
        known = score.low is not None and score.high is not None
        interval = f"{100 * score.low:.1f} to {100 * score.high:.1f}" if known else "—"  # type: ignore[operator]
        table.add_row(metric, f"{100 * score.value:.2f}", stderr, interval, str(score.n))
    if told.scores:
        output.print(table)
    remarks = [f"{told.lines} lines, {told.texts} texts.", *notes]
    if told.without_verdict:
        rest = "; the scores leave their lines out." if told.scores else "; no score."
        remarks.append(f"{told.without_verdict} texts have no verdict (see 'problem'){rest}")
    print_remarks(remarks, output)
