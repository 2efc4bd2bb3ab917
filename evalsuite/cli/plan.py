"""Prints the plan of `evalsuite run --plan-only`."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from evalsuite.cli.say import say_json

if TYPE_CHECKING:
    from evalsuite.engine.native.work_estimate import Memory, Work
    from evalsuite.runs.estimate import RunPlan

UNTRIED = "this plan follows from the model's configuration; no run has tested the model here yet."
SLOWER = "If packed trees fail their test, scoring uses padded batches and more tokens than planned"
COLUMNS = ("task", "requests", "requested", "distinct", "planned", "packs", "rows", "generated at most")


def print_plan(plan: "RunPlan", as_json: bool) -> None:
    """Print the plan as a table with remarks, or as JSON."""
    if as_json:
        memory = {**asdict(plan.memory), "total": plan.memory.total}
        say_json(json.dumps({**asdict(plan), "memory": memory}, indent=2))
        return
    from rich.table import Table

    from evalsuite.cli.console import console, print_remarks

    table = Table(title=f"{plan.model} · {plan.numerics}", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "task" else "right", overflow="fold")
    for name, work in plan.tasks.items():
        table.add_row(name, *_cells(work))
    if len(plan.tasks) > 1:
        table.add_section()
        table.add_row("total", *_cells(plan.total))
    output = console()
    output.print(table)
    print_remarks(_remarks(plan), output)


def _cells(work: "Work") -> tuple[str, ...]:
    counts = asdict(work).values()
    return tuple(f"{count:,}" for count in counts)


def _remarks(plan: "RunPlan") -> list[str]:
    total = plan.total
    lines = [
        "requested: tokens of all requests, each computed separately; distinct: tokens of the prefix tree "
        "that they share; planned: tokens to compute, including the prompts of generation; rows: positions "
        "that need logits",
        f"the plan computes {total.requested / max(total.planned, 1):.1f} times fewer tokens than "
        f"requested, and {total.planned / max(total.distinct, 1):.3f} times the distinct tokens",
        _memory(plan.memory),
    ]
    if plan.smoke_tokens:
        lines.append(f"before them, the smoke test of the model computes {plan.smoke_tokens:,} tokens")
    if plan.memory.problem:
        lines.append(f"the model does not fit into the device's memory: {plan.memory.problem}")
    if total.generated_at_most:
        lines.append(f"generation also needs memory for its KV cache: up to {_gib(plan.memory.slots)}")
    if plan.in_batches:
        lines.append(f"scoring runs in padded batches: {plan.in_batches}")
    if not plan.tried:
        lines.append(UNTRIED if plan.in_batches else f"{UNTRIED} {SLOWER}")
    return lines


def _memory(memory: "Memory") -> str:
    copies = f", {_gib(memory.copies)} for copies of them in a faster layout" if memory.copies else ""
    return (
        f"peak memory about {_gib(memory.total)}: {_gib(memory.weights)} of weights{copies} and "
        f"{_gib(memory.forward)} for a forward pass of {memory.tokens:,} tokens"
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
