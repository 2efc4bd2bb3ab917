"""A run from specification to run log: the one place that knows the order of the rooms."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.adapters import require_peft
from evalsuite.engine.engines import engine_kind
from evalsuite.engine.planning.plan_cache import PlanCache
from evalsuite.engine.protocol import Engine
from evalsuite.engine.token_options import refuse_missing_tokens
from evalsuite.errors import StorageError
from evalsuite.progress import Progress, Silent, Stage
from evalsuite.prompting.suites import Suite
from evalsuite.registry.selected import PreparedTask, Selected, refuse_unsafe_code
from evalsuite.requests.prepare import prepare
from evalsuite.results.folder import RunFolder
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import RunLog
from evalsuite.results.unwritten import NoFolder
from evalsuite.runs.asked import as_asked
from evalsuite.runs.engine import make_engine_of
from evalsuite.runs.inputs import digests_of, documents_of, inputs_sha256
from evalsuite.runs.options import Execution
from evalsuite.runs.session import RemoteWork, RunSession
from evalsuite.scoring.texts import refuse_missing_graders


def execute(
    spec: RunSpec,
    tasks: Sequence[Selected],
    files: ModelFiles,
    execution: Execution,
    *,
    suites: Sequence[Suite] = (),
    engine: Engine | None = None,
    progress: Progress | None = None,
    elsewhere: RemoteWork | None = None,
) -> RunLog:
    """Do what `spec` asks for and return the run log, which is also written to the folder.

    The same spec in the same folder continues where it stopped; a finished run is read, not repeated.

    Args:
        spec: what is asked for.
        tasks: the tasks that `spec` names.
        files: the model that `spec` names.
        execution: folders, tolerances, processes.
        suites: the suites that `spec` names.
        engine: answers in place of the one that `spec` names.
        progress: is told what happens.
        elsewhere: what other processes did for it.

    Raises:
        UserError: anything that the user can fix.
    """
    progress = progress or Silent()
    refuse_unsafe_code(tasks, execution.allow_unsafe_code)
    refuse_missing_graders([selected.spec for selected in tasks])
    tasks = [as_asked(selected, spec) for selected in tasks]
    folder = RunFolder(execution.folder) if execution.folder else NoFolder()
    with folder.opened(spec, str(execution.shard or "")) as earlier, ExitStack() as stack:
        progress.stage(Stage("preparing"))
        prepared = [_prepared(selected, spec, execution) for selected in tasks]
        if engine is None and not engine_kind(spec.engine).needs_files:
            engine = stack.enter_context(_made(spec, files, execution, progress))
        weights, tokenizer = digests_of(spec, files, engine, execution.verify_weights)
        inputs = inputs_sha256(spec, prepared, weights, tokenizer, suites)
        if elsewhere and elsewhere.inputs_sha256 != inputs:
            raise StorageError(
                "Data, prompts, task files or evalsuite itself differ from those of the shards; merge with "
                "the same --data, --include and version."
            )
        if earlier and _is_final(earlier) and earlier.inputs_sha256 == inputs and not folder.lacks(earlier):
            return earlier
        engine = engine or stack.enter_context(_made(spec, files, execution, progress))
        refuse_missing_tokens(engine.tokenizer, spec.bos, spec.prefix_token)
        notes = folder.notes + execution.notes
        session = RunSession(spec, prepared, suites, engine, files, inputs, execution, elsewhere, notes)
        folder.write_log(session.log("running"))
        store = execution.store or folder.store  # None for a run that is not written
        if execution.shard:
            log = session.answer_share(execution.shard, store, progress)
            folder.write_log(log)
            return log
        log, samples = session.finish(store, progress)
        folder.write_results(log, samples)
        return log


def _prepared(selected: Selected, spec: RunSpec, execution: Execution) -> PreparedTask:
    return execution.kept.get(
        ("documents", selected.address, selected.spec.sha256, execution.data_dir, documents_of(spec)),
        lambda: prepare(
            selected,
            data_dir=execution.data_dir,
            split=spec.split,
            subset=spec.subset,
            allow_drift=spec.allow_data_drift,
        ),
    )


@contextmanager
def _made(spec: RunSpec, files: ModelFiles, execution: Execution, progress: Progress) -> Iterator[Engine]:
    """The engine that is asked for, until it is not needed any more."""
    require_peft(files)
    engine = make_engine_of(spec, files, execution, progress)
    engine.share_plans(execution.kept.get("plans", PlanCache))
    try:
        yield engine
    finally:
        engine.close()


def _is_final(log: RunLog) -> bool:
    """Every document was scored; one that failed is tried again, even if failures were allowed before."""
    return log.status in ("complete", "shard") and not any(task.problem for task in log.tasks)
