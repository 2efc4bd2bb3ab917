"""`evalsuite run`: evaluate a model."""

import os
import signal
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli import completion, interrupts, options
from evalsuite.cli.say import say, say_json, warn
from evalsuite.errors import UserError

if TYPE_CHECKING:
    from evalsuite.results.runlog import RunLog, ShardRecord


def run(
    tasks: options.Tasks,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Alias, hub id (org/name[@revision]), folder, GGUF or NeMo file.",
            autocompletion=completion.models,
        ),
    ],
    recipe: options.RecipeName = None,
    shots: options.ShotCount = None,
    split: options.Split = None,
    limit: options.Limit = None,
    sample: options.SampleSize = None,
    data: options.Data = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder [default: results/runs/<model>-<hash>].")
    ] = None,
    engine: Annotated[str, typer.Option(help="Which engine answers.")] = "native",
    base_url: Annotated[
        str | None, typer.Option(help="Address of the server for --engine openai: http://HOST:PORT.")
    ] = None,
    engine_arg: Annotated[
        list[str] | None, typer.Option(help="A setting of the engine's own, NAME=VALUE; repeatable.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1, mps, or spread: over all GPUs.")
    ] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    logits_dtype: Annotated[
        str, typer.Option(help="float32, or model: rounded to the model's data type, as lm-eval's are.")
    ] = "float32",
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same requests get the same digits each time; slower.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of sampled generation and of --sample.")] = 0,
    revision: Annotated[str | None, typer.Option(help="Hub revision of the model.")] = None,
    trust_remote_code: options.TrustRemoteCode = False,
    tokenizer: options.TokenizerName = None,
    bos: options.BosToken = None,
    prefix_token: options.PrefixToken = None,
    max_length: options.MaxLength = None,
    include: options.Include = None,
    store: Annotated[Path | None, typer.Option(help="Response store to share between runs.")] = None,
    verify_weights: Annotated[
        bool, typer.Option("--verify-weights", help="Hash all weights again, whatever their size and date.")
    ] = False,
    allow_data_drift: options.AllowDataDrift = False,
    allow_failures: options.AllowFailures = False,
    allow_unsafe_code: options.AllowUnsafeCode = False,
    shard: Annotated[
        str | None,
        typer.Option(
            help="Answer only share i/n (from 0) in a folder of its own; `merge` unites the shards."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes, each with a replica of the model (needs Ray).")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="Ray cluster that the workers run in [default: this machine].")
    ] = None,
    gpus_per_replica: Annotated[
        float | None, typer.Option(help="GPUs of each worker [default: 1 where there are some].")
    ] = None,
    worker_timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds of silence after which a worker is ended [default: by its pace, at least 600]."
        ),
    ] = None,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Count what would be computed, and stop there.")
    ] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Evaluate a model. The same command again continues; exit code 0 only if all was scored."""
    from evalsuite import api
    from evalsuite.cli.progress import live_progress
    from evalsuite.engine.tensor_parallel.ranks import Ranks
    from evalsuite.progress import Silent
    from evalsuite.runs.options import RunOptions

    asked = RunOptions(
        recipe=recipe,
        shots=shots,
        split=split,
        limit=limit,
        sample=sample,
        seed=seed,
        data=data,
        include=include or (),
        out=out,
        store=store,
        revision=revision,
        trust_remote_code=trust_remote_code,
        verify_weights=verify_weights,
        tokenizer=tokenizer,
        bos=bos,
        prefix_token=prefix_token,
        max_length=max_length,
        engine=engine,
        engine_args=(*(engine_arg or ()), *(("deterministic=yes",) if deterministic else ())),
        base_url=base_url,
        device=device,
        dtype=dtype,
        logits_dtype=logits_dtype,
        allow_data_drift=allow_data_drift,
        allow_failures=allow_failures,
        allow_unsafe_code=allow_unsafe_code,
        shard=shard,
        workers=workers,
        ray_address=ray_address,
        gpus_per_replica=gpus_per_replica,
        worker_timeout=worker_timeout,
    )
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
        _tell(log, as_json, out)
    if log.status not in ("complete", "shard"):
        raise typer.Exit(1)


def _tell(log: "RunLog", as_json: bool, out: Path | None) -> None:
    from evalsuite.results.folder import default_folder

    folder = out or default_folder(log.spec, log.shard.name if log.shard else "")
    if log.shard and not as_json:
        _print_shard(log.shard, folder)
    else:
        print_results(log, as_json, folder)


def _print_shard(shard: "ShardRecord", folder: Path) -> None:
    answered = shard.requests - len(shard.failures)
    say(f"shard {shard.name}: {answered:,} of its {shard.requests:,} requests are answered, in {folder}")
    for reason, count in Counter(shard.failures.values()).most_common(3):
        say(f"- {count:,} failed: {reason}")
    say(f"`evalsuite merge` of the folders of all {shard.count} shards finishes the run.")


def print_results(log: "RunLog", as_json: bool, folder: Path) -> None:
    """The table with its remarks and the folder; or the run log as JSON."""
    if as_json:
        say_json(log.model_dump_json(indent=2))
        for task in log.tasks:
            if task.problem:
                warn(f"evalsuite: {task.name}: {task.problem}.")
        return
    from evalsuite.cli.console import console, print_remarks
    from evalsuite.results.tables import remarks, terminal_table

    output = console()
    output.print(terminal_table(log))
    print_remarks(remarks(log), output)
    output.print(f"results in {folder}", soft_wrap=True)
