"""`evalsuite doctor`: check this machine and say how to fix what is missing."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli import options
from evalsuite.cli.say import say, say_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from evalsuite.doctor import Check
    from evalsuite.engine.native.selftest.checks import PathCheck

_SIGNS = {"ok": "✓", "absent": "–", "broken": "✗"}


GpuSelftest = Annotated[
    bool,
    typer.Option(
        "--gpu-selftest",
        help="Check every path of the native engine on tiny random models instead, against float64 on the "
        "CPU; prints a table for an issue.",
    ),
]
SelftestDevice = Annotated[
    str,
    typer.Option("--device", help="Device of the self-test: cuda, cuda:1, or cpu to try it without a GPU."),
]


def doctor(
    data: options.Data = None,
    as_json: options.AsJson = False,
    gpu_selftest: GpuSelftest = False,
    device: SelftestDevice = "cuda",
) -> None:
    """Check packages, GPU, sandbox, data and memory. Exit code 1 if a required part is broken."""
    if gpu_selftest:
        raise typer.Exit(_selftest(device, as_json))
    from evalsuite.doctor import CheckState, examine

    checks = list(examine(data))
    healthy = all(check.state is not CheckState.BROKEN for check in checks)
    if as_json:
        document = {"ok": healthy, "checks": [asdict(check) for check in checks]}
        say_json(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        from evalsuite.cli.console import console

        console().print(_table(checks))
        for check in checks:
            if check.advice:
                say(f"{_SIGNS[check.state]} {check.name}: {check.advice}")
    raise typer.Exit(0 if healthy else 1)


def _selftest(device: str, as_json: bool) -> int:
    """Run the self-test and print its report; the exit code is 1 if a path that runs is wrong."""
    from evalsuite.engine.placement import resolve_device

    resolved = resolve_device(device)
    from evalsuite.engine.native.selftest import report

    checks: list[PathCheck] = []

    def found() -> "Iterator[PathCheck]":
        for check in report.isolated_selftest(resolved):
            checks.append(check)
            yield check

    machine = report.machine_of(resolved)
    if as_json:
        rows = [{**asdict(check), "verdict": check.verdict} for check in found()]
    else:
        for line in report.selftest_report(machine, found()):
            say(line)
    healthy = not any(check.failed for check in checks)
    if as_json:
        document = {"ok": healthy, "machine": machine, "checks": rows}
        say_json(json.dumps(document, indent=2, ensure_ascii=False))
    return 0 if healthy else 1


def _table(checks: "list[Check]") -> "Table":
    from rich.table import Table

    table = Table()
    for column in ("", "check", "", "found"):
        table.add_column(column, overflow="fold")
    part = ""
    for check in checks:
        if check.part != part:
            table.add_section()
        heading = "" if check.part == part else check.part
        table.add_row(heading, check.name, _SIGNS[check.state], check.found)
        part = check.part
    return table
