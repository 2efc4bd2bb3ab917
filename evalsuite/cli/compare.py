"""`evalsuite compare`: test whether runs differ by more than chance."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli import options
from evalsuite.cli.decisions import malformed_input
from evalsuite.cli.say import say_json


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders or run.json files; each is compared with the first.")
    ],
    flips: Annotated[
        int, typer.Option(min=0, help="Number of changed documents to show per task and direction.")
    ] = 0,
    allow_protocol_drift: Annotated[
        bool, typer.Option("--allow-protocol-drift", help="Compare even if prompt specs differ.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Compare runs document by document: deltas, paired intervals, tests, power and flips."""
    from evalsuite.decisions.compare.compare import compare as compared

    with malformed_input():
        comparison = compared(*runs, allow_protocol_drift=allow_protocol_drift)
    if as_json:
        say_json(comparison.model_dump_json(indent=2))
        return
    from evalsuite.cli.console import console, print_remarks
    from evalsuite.decisions.compare.table import comparison_table, flip_lines, remark_lines

    output = console()
    for pair in comparison.pairs:
        output.print(comparison_table(comparison, pair))
        print_remarks(remark_lines(pair), output)
        if flips:
            for task in pair.tasks:
                for line in flip_lines(task, flips):
                    output.print(line)
