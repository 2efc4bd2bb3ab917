"""`evalsuite grade`: score texts that another program generated."""

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
            help='JSON Lines of {"doc": 0, "text": "..."} or {"doc": 0, "texts": [...]}; "gold" is optional.',
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File for the verdicts [default: standard output].")
    ] = None,
    recipe: options.RecipeName = None,
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
    """Score texts that another program generated, as a run of the task would.

    Each verdict says whether its text is correct, which answer was extracted and which grader decided. The
    exit code is 0 only if every text got a verdict.
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
        _check_writable(out)
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
    totals = summary(grades, allow_failures)
    if as_json:
        say_json(json.dumps(asdict(totals), indent=2), to_stderr=out is None)
    else:
        _print(selected.name, totals, notes, to_stderr=out is None)
    if totals.without_verdict:
        raise typer.Exit(1)


def _check_writable(out: Path) -> None:
    """Raises UserError before the work starts if `out` cannot be written."""
    from evalsuite.errors import UserError

    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if out.is_dir() or not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UserError(f"--out {out}: a file cannot be written there.")


def _write(grades: Sequence["Grade"], out: Path | None) -> None:
    # JSON allows a lone surrogate, UTF-8 does not; JSON's escape of it is valid in both.
    text = "".join(json.dumps(grade.record(), ensure_ascii=False) + "\n" for grade in grades)
    if out is None:
        say_json(text, end="")
        return
    from evalsuite.results.folder import disk_errors

    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = out.with_name(out.name + ".unfinished")
        unfinished.write_bytes(text.encode("utf-8", errors="backslashreplace"))
        os.replace(unfinished, out)


def _print(name: str, totals: "Summary", notes: Sequence[str], to_stderr: bool) -> None:
    from rich.table import Table

    from evalsuite.cli.console import console, print_remarks

    output = console(to_stderr=to_stderr)
    table = Table(title=name, title_justify="left")
    for column in ("metric", "score", "stderr", "95 % interval", "lines"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for metric, score in totals.scores.items():
        stderr = "—" if score.stderr is None else f"{100 * score.stderr:.2f}"
        interval = "—"
        if score.low is not None and score.high is not None:
            interval = f"{100 * score.low:.1f} to {100 * score.high:.1f}"
        table.add_row(metric, f"{100 * score.value:.2f}", stderr, interval, str(score.n))
    if totals.scores:
        output.print(table)
    remarks = [f"{totals.lines} lines, {totals.texts} texts.", *notes]
    if totals.without_verdict:
        effect = "the scores exclude their lines" if totals.scores else "there is no score"
        remarks.append(f"{totals.without_verdict} texts have no verdict (see 'problem'); {effect}.")
    print_remarks(remarks, output)
