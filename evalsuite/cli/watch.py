"""`evalsuite watch` and `evalsuite sweep`: evaluate checkpoints once each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli import interrupts, options
from evalsuite.cli.run_options import with_run_options
from evalsuite.cli.say import say, warn

if TYPE_CHECKING:
    from evalsuite.progress import Progress
    from evalsuite.runs.options import RunOptions
    from evalsuite.watch.options import Order

Out = Annotated[
    Path, typer.Option("--out", "-o", help="Folder of the run folders, trend.json and trend.html.")
]
OrderOption = Annotated[str, typer.Option(help="Which checkpoint comes first: oldest or newest.")]
PolicyFile = Annotated[Path | None, typer.Option(help="Policy of a gate after each checkpoint.")]
Baseline = Annotated[
    str, typer.Option(help="The gate's baseline: best, previous or a run [default: previous, with --policy].")
]
Junit = Annotated[bool, typer.Option("--junit", help="Also write each gate as gate.xml in the run's folder.")]
OnFail = Annotated[
    str,
    typer.Option(help="Shell command after a FAIL; EVALSUITE_RUN and EVALSUITE_CHECKPOINT name its paths."),
]

Log = Annotated[
    list[str] | None,
    typer.Option(help="Keep a curve current in wandb, mlflow, trackio or tensorboard; repeatable."),
]
Project = Annotated[
    str, typer.Option(help="With --log: project or experiment; for tensorboard the log directory.")
]
TrackerRun = Annotated[
    str, typer.Option(help="With --log: the tracker's run of this training [default: the folder's name].")
]


@with_run_options("shard")
def watch(
    folder: Annotated[Path, typer.Argument(help="Folder with the checkpoints of a training.")],
    tasks: options.Tasks,
    out: Out,
    asked: "RunOptions",
    once: Annotated[
        bool, typer.Option("--once", help="End when every complete checkpoint is evaluated.")
    ] = False,
    order: OrderOption = "oldest",
    pattern: Annotated[str, typer.Option(help="Shell pattern of the checkpoints' names.")] = "*",
    every: Annotated[int, typer.Option(min=1, help="Only steps that are multiples of this number.")] = 1,
    done_file: Annotated[
        str, typer.Option(help="File that the trainer writes last into a checkpoint's folder.")
    ] = "",
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds without a change, where there is no --done-file.")
    ] = 10.0,
    poll: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the folder.")] = 10.0,
    policy: PolicyFile = None,
    baseline: Baseline = "",
    seeds: options.SeedRuns = None,
    allow_noise: options.AllowNoise = False,
    junit: Junit = False,
    on_fail: OnFail = "",
    log: Log = None,
    project: Project = "evalsuite",
    tracker_run: TrackerRun = "",
    shard: Annotated[
        str | None, typer.Option(help="Answer only share i/n (from 0) of each run, in a folder of its own.")
    ] = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Evaluate each complete checkpoint in a folder once, as they appear; start it again at any time."""
    from dataclasses import replace

    from evalsuite.watch import WatchOptions, watch_checkpoints

    watching = WatchOptions(
        once=once,
        order=_known_order(order),
        pattern=pattern,
        every=every,
        done_file=done_file,
        settle=settle,
        poll=poll,
        policy=policy,
        baseline=baseline,
        seeds=tuple(seeds or ()),
        allow_noise=allow_noise,
        junit=junit,
        on_fail=on_fail,
        trackers=tuple(log or ()),
        project=project,
        tracker_run=tracker_run,
    )
    asked = replace(asked, shard=shard)
    with _ended(quiet, verbose) as progress:
        code = watch_checkpoints(
            folder, tasks, out, options=asked, watching=watching, say=say, progress=progress
        )
    raise typer.Exit(code)


@with_run_options("revision")
def sweep(
    models: Annotated[
        list[str], typer.Argument(help="Models or hub revisions (org/name@step1000), in any order.")
    ],
    tasks: options.Tasks,
    out: Out,
    asked: "RunOptions",
    order: OrderOption = "oldest",
    policy: PolicyFile = None,
    baseline: Baseline = "",
    seeds: options.SeedRuns = None,
    allow_noise: options.AllowNoise = False,
    junit: Junit = False,
    on_fail: OnFail = "",
    log: Log = None,
    project: Project = "evalsuite",
    tracker_run: TrackerRun = "",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Evaluate a list of models or hub revisions once each; start it again at any time."""
    from evalsuite.watch import WatchOptions, sweep_models

    watching = WatchOptions(
        order=_known_order(order),
        policy=policy,
        baseline=baseline,
        seeds=tuple(seeds or ()),
        allow_noise=allow_noise,
        junit=junit,
        on_fail=on_fail,
        trackers=tuple(log or ()),
        project=project,
        tracker_run=tracker_run,
    )
    with _ended(quiet, verbose) as progress:
        code = sweep_models(models, tasks, out, options=asked, watching=watching, say=say, progress=progress)
    raise typer.Exit(code)


@contextmanager
def _ended(quiet: bool, verbose: bool) -> Iterator["Progress"]:
    """Progress on the terminal; an interrupt ends the command after what is answered was stored."""
    from evalsuite.cli.progress import live_progress

    interrupts.listen_to_terminate()
    with live_progress(quiet, verbose) as progress:
        try:
            yield progress
        except KeyboardInterrupt:
            warn("evalsuite: stopped; the answers so far are kept, the same command continues.")
            raise typer.Exit(interrupts.INTERRUPTED) from None


def _known_order(order: str) -> "Order":
    from evalsuite.errors import UnknownName
    from evalsuite.watch.options import ORDERS

    for known in ORDERS:
        if order == known:
            return known
    raise UnknownName("order", order, ORDERS, f"It is {' or '.join(ORDERS)}.")
