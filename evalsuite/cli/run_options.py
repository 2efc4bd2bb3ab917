"""The options of `run` that `watch` and `sweep` take, too: one signature, one value."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalsuite.cli import options

if TYPE_CHECKING:
    from evalsuite.runs.options import RunOptions


def options_of_a_run(
    *,
    recipe: options.RecipeName = None,
    shots: options.ShotCount = None,
    split: options.Split = None,
    limit: options.Limit = None,
    sample: options.SampleSize = None,
    data: options.Data = None,
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
    model_config: options.ModelConfig = None,
    adapter: Annotated[
        str | None, typer.Option(help="Folder of a PEFT adapter, merged into the model.")
    ] = None,
    trust_remote_code: options.TrustRemoteCode = False,
    tokenizer: options.TokenizerName = None,
    bos: options.BosToken = None,
    prefix_token: options.PrefixToken = None,
    max_length: options.MaxLength = None,
    text: options.Texts = None,
    text_field: options.TextField = "text",
    text_domain: options.TextDomain = None,
    stride: options.Stride = None,
    include: options.Include = None,
    store: Annotated[Path | None, typer.Option(help="Response store to share between runs.")] = None,
    verify_weights: Annotated[
        bool, typer.Option("--verify-weights", help="Hash all weights again, whatever their size and date.")
    ] = False,
    allow_data_drift: options.AllowDataDrift = False,
    allow_failures: options.AllowFailures = False,
    allow_unsafe_code: options.AllowUnsafeCode = False,
    no_smoke: Annotated[
        bool, typer.Option("--no-smoke", help="Skip the smoke test of the model before its first task.")
    ] = False,
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
) -> "RunOptions":
    """The value of these options, without a run folder."""
    from evalsuite.runs.options import RunOptions

    return RunOptions(
        recipe=recipe,
        shots=shots,
        split=split,
        limit=limit,
        sample=sample,
        seed=seed,
        data=data,
        text=text or (),
        text_field=text_field,
        text_domain=text_domain,
        stride=stride,
        include=include or (),
        store=store,
        revision=revision,
        model_config=model_config,
        adapter=adapter,
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
        smoke=not no_smoke,
        shard=shard,
        workers=workers,
        ray_address=ray_address,
        gpus_per_replica=gpus_per_replica,
        worker_timeout=worker_timeout,
    )


def with_run_options(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator for a command whose argument `asked` is the value of these options, but for some of them.

    The command line sees the command's own parameters followed by those of `options_of_a_run`.
    """

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        own = [each for name, each in inspect.signature(command).parameters.items() if name != "asked"]
        shared = [
            each
            for name, each in inspect.signature(options_of_a_run).parameters.items()
            if name not in left_out and name not in {parameter.name for parameter in own}
        ]

        @wraps(command)
        def called(**arguments: Any) -> None:
            asked = options_of_a_run(**{each.name: arguments.pop(each.name) for each in shared})
            command(**arguments, asked=asked)

        keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *shared)]
        called.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: each.annotation for each in keyword}
        del called.__wrapped__  # whose signature would be read instead
        return called

    return decorated
