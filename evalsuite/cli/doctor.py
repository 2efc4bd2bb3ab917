"""`evalsuite doctor`: check this machine and say how to fix what is missing."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from evalsuite.cli import options
from evalsuite.cli.say import say, say_json

if TYPE_CHECKING:
    from rich.table import Table

    from evalsuite.doctor import Check

_SIGNS = {"ok": "✓", "absent": "–", "broken": "✗"}


def doctor(data: options.Data = None, as_json: options.AsJson = False) -> None:
    """Check packages, GPU, sandbox, data and memory. Exit code 1 if a required part is broken."""
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
