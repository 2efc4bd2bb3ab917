"""The Python interface; the command line is a thin shell over it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.data.folder import data_folder
from evalsuite.errors import UnknownName, UserError
from evalsuite.progress import Progress
from evalsuite.registry.addresses import split_addresses
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import Selected
from evalsuite.results.runlog import RunLog, RunSpec
from evalsuite.types import BOS_CHOICES, Bos
from evalsuite.visible import refuse_undecodable

if TYPE_CHECKING:
    from evalsuite.checkpoints import ModelFiles
    from evalsuite.runs.estimate import RunPlan


def run(
    tasks: str | Sequence[str],
    model: str,
    *,
    recipe: str | None = None,
    shots: int | None = None,
    split: str | None = None,
    limit: int | None = None,
    sample: int | None = None,
    data: str | Path | None = None,
    out: str | Path | None = None,
    engine: str = "native",
    device: str = "auto",
    dtype: str = "auto",
    seed: int = 0,
    revision: str | None = None,
    trust_remote_code: bool = False,
    include: Sequence[str | Path] = (),
    store: str | Path | None = None,
    verify_weights: bool = False,
    allow_data_drift: bool = False,
    allow_failures: bool = False,
    allow_unsafe_code: bool = False,
    logits_dtype: str = "float32",
    tokenizer: str | None = None,
    bos: str | None = None,
    prefix_token: str | None = None,
    max_length: int | None = None,
    engine_args: Sequence[str] = (),
    base_url: str | None = None,
    shard: str | None = None,
    workers: int | None = None,
    ray_address: str | None = None,
    gpus_per_replica: float | None = None,
    worker_timeout: float | None = None,
    progress: Progress | None = None,
) -> RunLog:
    """Evaluate a model and return the run log; the run folder is written too.

    Args:
        tasks: addresses, comma-separated or as a list: `[recipe/]task[:format][@shots]`.
        model: alias, hub id (`org/name[@revision]`), folder, GGUF file or NeMo archive.
        recipe: recipe of bare task names.
        shots: number of shots where an address gives none.
        split: evaluated split in place of the specs'.
        limit: documents per task, the first ones; member tasks (MMLU's subjects) are taken in turn.
        sample: documents per task, drawn at random by `seed` and spread over member tasks; a larger sample
            holds the smaller one.
        data: folder with data sets in Hugging Face layout (default: EVALSUITE_DATA).
        out: run folder (default: `results/runs/<model>-<hash>`); the same command there continues, also with
            a larger `limit` or `sample`.
        engine: which engine answers.
        device: auto, cpu, cuda, cuda:1, mps, or spread: layers over all GPUs (device_map).
        dtype: auto (float32 on a CPU, bfloat16 on a GPU), float32, bfloat16, float16.
        seed: seed of sampled generation and of `sample`; shots follow the recipe's own seed.
        revision: hub revision of the model.
        trust_remote_code: run Python code that comes with the model.
        include: task files, or folders of task files and recipes.
        store: response store to share between runs.
        verify_weights: hash all weights again instead of trusting size and date.
        allow_data_drift: accept rows that are not the pinned ones, with a note.
        allow_failures: score a task although documents failed; the count stands beside it.
        allow_unsafe_code: run model-written code under resource limits alone, where no sandbox works.
        logits_dtype: float32, or model: rounded to the model's data type (lm-eval's HFLM does so).
        tokenizer: folder, alias or hub id of another tokenizer than the model's.
        bos: never, tokenizer or always: whether a BOS token begins each prompt, in place of what the recipes
            say.
        prefix_token: what stands before a text without a context (a token as the vocabulary spells it, or its
            id), in place of the BOS token, else the EOS token.
        max_length: a shorter context window than the model's, in tokens.
        engine_args: the engine's own settings, each `NAME=VALUE`.
        base_url: address of the server that the engine asks (the setting of that name).
        shard: answer only share `i/n` of the requests, counted from 0; `merge` unites the shards' folders.
        workers: so many processes answer, each with a replica of the model; in a cluster as many as fit by
            default.
        ray_address: the Ray cluster that they run in ("auto": the one on this machine); by default Ray is
            started.
        gpus_per_replica: GPUs of each worker; one by default where there are some.
        worker_timeout: seconds after which a worker that says nothing is ended, and its part given to
            another; by default 20 times what the slowest answer so far would mean for the part, and at least
            10 minutes.
        progress: is told what happens.

    Raises:
        UserError: anything that the user can fix, in one sentence.
    """
    from evalsuite.engine.engines import split_arguments
    from evalsuite.engine.replicas.supervisor import ReplicaConfig
    from evalsuite.engine.tensor_parallel.ranks import Ranks
    from evalsuite.results.folder import default_folder
    from evalsuite.runs.execute import RunOptions, execute
    from evalsuite.runs.shards import Shard

    refuse_empty_paths(out=out, store=store, data=data)
    for option, place in (("--out", out), ("--store", store)):
        if place:
            refuse_undecodable(option, os.path.abspath(place))
    team = Ranks.of_torchrun(os.environ)
    share = Shard.parse(shard) if shard is not None else None
    if share and store:
        raise UserError("--shard keeps its answers in its own folder; leave out --store.")
    address = [f"base_url={base_url}"] if base_url else []
    engine_args, tuning = split_arguments(engine, [*engine_args, *address])
    spec, selected, files = _asked_for(
        tasks,
        model,
        recipe=recipe,
        shots=shots,
        include=include,
        revision=revision,
        split=split,
        limit=limit,
        sample=sample,
        seed=seed,
        engine=engine,
        dtype=dtype,
        device=device,
        trust_remote_code=trust_remote_code,
        allow_data_drift=allow_data_drift,
        logits_dtype=logits_dtype,
        tokenizer=tokenizer,
        bos=bos,
        prefix_token=prefix_token,
        max_length=max_length,
        engine_args=engine_args,
    )
    setting = RunOptions(
        folder=Path(out) if out else default_folder(spec, str(share or "")),
        data_dir=data_folder(data),
        store=Path(store) if store else None,
        verify_weights=verify_weights,
        allow_failures=allow_failures,
        allow_unsafe_code=allow_unsafe_code,
        engine_tuning=tuning,
        shard=share,
        workers=ReplicaConfig.asked(workers, ray_address, gpus_per_replica, worker_timeout),
    )
    if team.size > 1:
        from evalsuite.runs.torchrun import execute_in_team

        return execute_in_team(team, spec, selected, files, setting, progress)
    return execute(spec, selected, files, setting, progress=progress)


def plan(
    tasks: str | Sequence[str],
    model: str,
    *,
    data: str | Path | None = None,
    recipe: str | None = None,
    shots: int | None = None,
    include: Sequence[str | Path] = (),
    revision: str | None = None,
    **spec: Any,
) -> "RunPlan":
    """What `run` would compute, counted without loading the weights.

    Args:
        tasks: as in `run`.
        model: as in `run`.
        data: as in `run`.
        recipe: as in `run`.
        shots: as in `run`.
        include: as in `run`.
        revision: as in `run`.
        spec: `split`, `limit`, `sample`, `seed`, `engine`, `device`, `dtype`, `logits_dtype`, `engine_args`,
            `trust_remote_code`, `tokenizer`, `bos`, `prefix_token`, `max_length` and `allow_data_drift`, as
            in `run`.

    Raises:
        UserError: anything that the user can fix, in one sentence.
    """
    from evalsuite.runs.estimate import plan_run

    asked = _asked_for(tasks, model, recipe=recipe, shots=shots, include=include, revision=revision, **spec)
    return plan_run(*asked, data_folder(data))


def _asked_for(
    tasks: str | Sequence[str],
    model: str,
    *,
    recipe: str | None,
    shots: int | None,
    include: Sequence[str | Path],
    revision: str | None,
    limit: int | None = None,
    sample: int | None = None,
    logits_dtype: str = "float32",
    bos: str | None = None,
    **spec: Any,
) -> tuple[RunSpec, list[Selected], "ModelFiles"]:
    """The spec of a run, its tasks, and its model's files."""
    from evalsuite.checkpoints import ModelFiles, resolve
    from evalsuite.checkpoints.files import context_window
    from evalsuite.engine.engines import engine_kind
    from evalsuite.engine.placement import resolve_logits_dtype
    from evalsuite.runs.execute import token_options_of

    for option, count in (("--limit", limit), ("--sample", sample)):
        if count is not None and count < 1:
            raise UserError(f"{option} must be at least 1, not {count}.")
    if limit is not None and sample is not None:
        raise UserError("--limit takes the first documents and --sample draws some; give one of them.")
    selected = Registry.load([Path(path) for path in include]).select(
        split_addresses(tasks if isinstance(tasks, str) else list(tasks)), recipe, shots
    )
    refuse_undecodable("--model", os.path.abspath(model) if os.path.exists(model) else model)
    needs_files = engine_kind(spec.get("engine", "native")).needs_files
    if revision and not needs_files:
        raise UserError(
            f"--revision is for models on the hub; --engine {spec['engine']} knows its model by --model alone: leave it out."
        )
    files = resolve(model, revision=revision) if needs_files else ModelFiles.elsewhere(model, revision)
    whole = RunSpec(
        tasks=tuple(one.address for one in selected),
        model=model,
        revision=revision,
        limit=limit,
        sample=sample,
        logits_dtype=resolve_logits_dtype(logits_dtype),  # type: ignore[arg-type]
        bos=known_bos(bos),
        **spec,
    )
    if needs_files:
        token_options_of(whole).window(context_window(files))
    return whole, selected, files


def refuse_empty_paths(**paths: str | Path | None) -> None:
    """Raises UserError for a path that is an empty text, such as an unset variable of a shell."""
    for name, path in paths.items():
        if path == "":
            raise UserError(f"--{name.replace('_', '-')} is empty; give a path or leave the option out.")


def known_bos(given: str | None) -> Bos | None:
    """`--bos`; raises UnknownName where it is none of the three words."""
    if given is None or given in BOS_CHOICES:
        return given
    raise UnknownName("value of --bos", given, BOS_CHOICES, f"It takes {', '.join(BOS_CHOICES)}.")
