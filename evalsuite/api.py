"""The Python interface; the command line is a thin shell over it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.data.folder import data_folder
from evalsuite.errors import UnknownName, UserError
from evalsuite.progress import Progress
from evalsuite.prompting.suites import Suite
from evalsuite.registry.addresses import split_addresses
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import Selected
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import RunLog
from evalsuite.runs.options import Execution, RunOptions
from evalsuite.types import BOS_CHOICES, Bos
from evalsuite.visible import refuse_undecodable

if TYPE_CHECKING:
    from evalsuite.checkpoints import ModelFiles
    from evalsuite.runs.estimate import RunPlan
    from evalsuite.runs.kept import Kept


def run(
    tasks: str | Sequence[str],
    model: str,
    *,
    options: RunOptions | None = None,
    progress: Progress | None = None,
    **overrides: Any,
) -> RunLog:
    """Evaluate a model and return the run log; the run folder is written too.

    Args:
        tasks: addresses, comma-separated or as a list: `[recipe/]task[:format][@shots]`, or suites.
        model: alias, hub id (`org/name[@revision]`), folder, GGUF file, NeMo archive or raw checkpoint.
        options: everything else that a run can be asked for.
        progress: is told what happens.
        overrides: fields of `RunOptions` by name, in place of those in `options`:
            `run("mmlu", "8b", limit=100)`.

    Raises:
        UserError: anything that the user can fix, in one sentence.
    """
    return run_in_a_series(tasks, model, (options or RunOptions()).with_overrides(overrides), progress)


def run_in_a_series(
    tasks: str | Sequence[str],
    model: str,
    options: RunOptions,
    progress: Progress | None = None,
    kept: "Kept | None" = None,
) -> RunLog:
    """As `run`; `kept` keeps documents and encoded requests for the series' next model."""
    from evalsuite.engine.tensor_parallel.ranks import Ranks
    from evalsuite.runs.execute import execute

    ranks = Ranks.of_torchrun(os.environ)
    _refuse_bad_paths(options)
    asked = _resolve(tasks, model, options)
    spec, selected, files = asked.spec, asked.tasks, asked.files
    execution = _execution(spec, options)
    execution = replace(execution, kept=kept) if kept else execution
    if ranks.size > 1:
        from evalsuite.runs.torchrun import execute_in_team

        return execute_in_team(ranks, spec, selected, files, execution, progress, asked.suites)
    return execute(spec, selected, files, execution, suites=asked.suites, progress=progress)


def plan(
    tasks: str | Sequence[str],
    model: str,
    *,
    options: RunOptions | None = None,
    **overrides: Any,
) -> "RunPlan":
    """What `run` would compute, counted without loading the weights; arguments and errors as in `run`."""
    from evalsuite.engine.engines import split_arguments
    from evalsuite.runs.estimate import plan_run

    options = (options or RunOptions()).with_overrides(overrides)
    if options.shard:
        raise UserError("A plan counts the whole run; leave out --shard.")
    _, tuning = split_arguments(options.engine, _engine_arguments(options))
    asked = _resolve(tasks, model, options)
    return plan_run(asked.spec, asked.tasks, asked.files, data_folder(options.data), tuning, options.smoke)


@dataclass(frozen=True)
class _Asked:
    """What a run is asked for."""

    spec: RunSpec
    tasks: list[Selected]
    suites: tuple[Suite, ...]
    files: "ModelFiles"


def _resolve(tasks: str | Sequence[str], model: str, options: RunOptions) -> _Asked:
    """The spec of a run, its tasks and suites, and its model's files."""
    from evalsuite.checkpoints import ModelFiles, resolve
    from evalsuite.checkpoints.files import context_window
    from evalsuite.engine.engines import engine_kind, split_arguments
    from evalsuite.engine.placement import resolve_logits_dtype
    from evalsuite.runs.engine import token_options_of

    refuse_bad_counts(options)
    arguments, _ = split_arguments(options.engine, _engine_arguments(options))
    registry = Registry.load([Path(path) for path in options.include])
    texts = split_addresses(tasks if isinstance(tasks, str) else list(tasks))
    selected, suites = registry.select(texts, options.recipe, options.shots), registry.suites.among(texts)
    refuse_undecodable("--model", os.path.abspath(model) if os.path.exists(model) else model)
    needs_files = engine_kind(options.engine).needs_files
    if not needs_files:
        _refuse_options_of_files(options)
    files = (
        resolve(
            model,
            revision=options.revision,
            model_config=options.model_config,
            adapter=options.adapter,
        )
        if needs_files
        else ModelFiles.elsewhere(model, options.revision)
    )
    in_spec = {name: getattr(options, name) for name in RunSpec.model_fields if hasattr(options, name)}
    _refuse_useless_texts(options, selected)
    spec = RunSpec(
        **{
            **in_spec,
            "tasks": tuple(one.address for one in selected),
            "suites": tuple(suite.name for suite in suites),
            "model": model,
            "configuration": options.model_config,
            "text": tuple(map(str, options.text)),
            "logits_dtype": resolve_logits_dtype(options.logits_dtype),
            "bos": known_bos(options.bos),
            "engine_args": arguments,
        }
    )
    if needs_files:
        token_options_of(spec).window(context_window(files))
    return _Asked(spec, selected, suites, files)


def _refuse_useless_texts(options: RunOptions, selected: Sequence[Selected]) -> None:
    """Raises UserError for options of held-out texts where no task is about one."""
    formats = {one.spec.format for one in selected}
    if options.stride is not None and "text" not in formats:
        raise UserError("--stride is for held-out texts; none of these tasks scores one.")
    if options.text and not any(one.wants_texts for one in selected):
        raise UserError(
            "--text names texts for task 'text', which is not among the tasks; add it to --tasks."
        )


def _execution(spec: RunSpec, options: RunOptions) -> Execution:
    from evalsuite.engine.engines import split_arguments
    from evalsuite.engine.replicas.supervisor import ReplicaConfig
    from evalsuite.results.folder import default_folder
    from evalsuite.runs.shards import Shard

    shard = Shard.parse(options.shard) if options.shard is not None else None
    if shard and options.store:
        raise UserError("--shard keeps its answers in its own folder; leave out --store.")
    _, tuning = split_arguments(options.engine, _engine_arguments(options))
    return Execution(
        folder=Path(options.out) if options.out else default_folder(spec, str(shard or "")),
        data_dir=data_folder(options.data),
        store=Path(options.store) if options.store else None,
        verify_weights=options.verify_weights,
        allow_failures=options.allow_failures,
        allow_unsafe_code=options.allow_unsafe_code,
        smoke=options.smoke,
        engine_tuning=tuning,
        shard=shard,
        workers=ReplicaConfig.asked(
            options.workers, options.ray_address, options.gpus_per_replica, options.worker_timeout
        ),
    )


def _engine_arguments(options: RunOptions) -> list[str]:
    return [*options.engine_args, *([f"base_url={options.base_url}"] if options.base_url else [])]


def _refuse_bad_paths(options: RunOptions) -> None:
    refuse_empty_paths(out=options.out, store=options.store, data=options.data)
    for option, path in (("--out", options.out), ("--store", options.store)):
        if path:
            refuse_undecodable(option, os.path.abspath(path))


def _refuse_options_of_files(options: RunOptions) -> None:
    """Refuse what chooses files of a model that a server has."""
    for option, given, what in (
        ("--revision", options.revision, "models on the hub"),
        ("--model-config", options.model_config, "raw checkpoints"),
        ("--adapter", options.adapter, "models whose weights are loaded here"),
    ):
        if given:
            raise UserError(
                f"{option} is for {what}; --engine {options.engine} knows its model by --model alone: leave "
                "it out."
            )


def refuse_bad_counts(options: RunOptions) -> None:
    """Raises UserError for a number of documents below 1, and for two of them."""
    for option, count in (("--limit", options.limit), ("--sample", options.sample)):
        if count is not None and count < 1:
            raise UserError(f"{option} must be at least 1, not {count}.")
    if options.limit is not None and options.sample is not None:
        raise UserError("--limit takes the first documents and --sample draws some; give one of them.")


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
