"""`evalsuite gate`: decide whether a candidate may replace the baseline."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli import options
from evalsuite.cli.decisions import malformed_input
from evalsuite.cli.say import say_json


def gate(
    baseline: Annotated[Path, typer.Option(help="Run folder or run.json of the model in use.")],
    candidate: Annotated[Path, typer.Option(help="Run folder or run.json of its possible replacement.")],
    policy: Annotated[
        Path | None,
        typer.Option(
            help="YAML policy [default: the mean over tasks shown within 2 points, no task shown beyond 2]."
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write the result as JUnit XML for CI.")] = None,
    seeds: options.SeedRuns = None,
    allow_noise: options.AllowNoise = False,
    allow_protocol_drift: Annotated[
        bool, typer.Option("--allow-protocol-drift", help="Judge even if prompt specs differ.")
    ] = False,
    no_smoke: Annotated[
        bool, typer.Option("--no-smoke", help="Judge the scores of a candidate that failed its smoke test.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Judge a candidate: exit code 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 malformed input."""
    from evalsuite.decisions.gate.gate import gate as judged

    with malformed_input():
        if junit is not None:
            from evalsuite.decisions.gate.junit import check_junit, write_junit

            check_junit()
        report = judged(
            baseline,
            candidate,
            policy,
            seeds=seeds or (),
            allow_noise=allow_noise,
            allow_protocol_drift=allow_protocol_drift,
            smoke=not no_smoke,
        )
        if junit is not None:
            write_junit(report, junit)
    if as_json:
        say_json(report.model_dump_json(indent=2))
        raise typer.Exit(report.exit_code)
    from evalsuite.cli.console import console, print_remarks
    from evalsuite.decisions.gate.table import gate_lines, gate_table

    output = console()
    output.print(gate_table(report))
    print_remarks(gate_lines(report), output)
    output.print(f"{report.outcome}: {report.reason}")
    raise typer.Exit(report.exit_code)
