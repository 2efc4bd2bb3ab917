"""`evalsuite run`: evaluate a model."""

import os
import signal
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli import completion, interrupts, options
from evalsuite.cli.run_options import with_run_options
from evalsuite.cli.say import say, say_json, warn
from evalsuite.errors import UserError

if TYPE_CHECKING:
    from evalsuite.results.runlog import RunLog, ShardRecord
    from evalsuite.runs.options import RunOptions


@with_run_options()
def run(
    tasks: options.Tasks,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Alias, hub id (org/name[@revision]), folder, GGUF or NeMo file, raw checkpoint.",
            autocompletion=completion.models,
        ),
    ],
    asked: "RunOptions",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder [default: results/runs/<model>-<hash>].")
    ] = None,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Count what would be computed, and stop there.")
    ] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Evaluate a model. The same command again continues; exit code 0 only if all was scored."""
    from dataclasses import replace

    from evalsuite import api
    from evalsuite.cli.progress import live_progress
    from evalsuite.engine.tensor_parallel.ranks import Ranks
    from evalsuite.progress import Silent

    asked = replace(asked, out=out)
    ranks = Ranks.of_torchrun(os.environ)
    if plan_only and ranks.size > 1:
        raise UserError("--plan-only is for one process; start it without torchrun.")
    if plan_only:
        from evalsuite.cli.plan import print_plan

        print_plan(api.plan(tasks, model, options=asked), as_json)
        return
    if ranks.rank:
        # Waiting for the others in a collective operation it would not hear of a signal that Python handles.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    else:
        interrupts.listen_to_terminate()
    with nullcontext(Silent()) if ranks.rank else live_progress(quiet, verbose) as progress:
        try:
            log = api.run(tasks, model, options=asked, progress=progress)
        except KeyboardInterrupt:
            warn("evalsuite: stopped; the answers so far are kept, the same command continues.")
            raise typer.Exit(interrupts.INTERRUPTED) from None
    if not ranks.rank:
        _tell(log, as_json, out, verbose)
    if log.status not in ("complete", "shard"):
        raise typer.Exit(1)


def _tell(log: "RunLog", as_json: bool, out: Path | None, verbose: bool) -> None:
    from evalsuite.results.folder import default_folder

    folder = out or default_folder(log.spec, log.shard.name if log.shard else "")
    if log.shard and not as_json:
        _print_shard(log.shard, folder)
    else:
        print_results(log, as_json, folder, verbose)


def _print_shard(shard: "ShardRecord", folder: Path) -> None:
    answered = shard.requests - len(shard.failures)
    say(f"shard {shard.name}: {answered:,} of its {shard.requests:,} requests are answered, in {folder}")
    for reason, count in Counter(shard.failures.values()).most_common(3):
        say(f"- {count:,} failed: {reason}")
    say(f"`evalsuite merge` of the folders of all {shard.count} shards finishes the run.")


def print_results(log: "RunLog", as_json: bool, folder: Path, verbose: bool = False) -> None:
    """The table with its remarks and the folder; or the run log as JSON."""
    if as_json:
        say_json(log.model_dump_json(indent=2))
        for task in log.tasks:
            if task.problem:
                warn(f"evalsuite: {task.name}: {task.problem}.")
        return
    from evalsuite.cli.console import console, print_remarks
    from evalsuite.results.smoke import smoke_line
    from evalsuite.results.tables import remarks, terminal_table

    output = console()
    output.print(terminal_table(log))
    print_remarks([*remarks(log), *([smoke_line(log.smoke)] if verbose else [])], output)
    output.print(f"results in {folder}", soft_wrap=True)
