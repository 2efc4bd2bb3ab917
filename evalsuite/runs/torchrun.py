"""A run in a team: several processes that torchrun started hold one model together."""

from collections.abc import Sequence

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.tensor_parallel.ranks import Ranks
from evalsuite.errors import UserError
from evalsuite.progress import Progress
from evalsuite.registry.selected import Selected
from evalsuite.results.runlog import RunLog, RunSpec
from evalsuite.runs.execute import RunOptions, execute, token_options_of


def execute_in_team(
    team: Ranks,
    spec: RunSpec,
    tasks: Sequence[Selected],
    files: ModelFiles,
    setting: RunOptions,
    progress: Progress | None = None,
) -> RunLog:
    """`runner.execute`, called by every process of the team; the first one does it, with the help of the others.

    Raises:
        UserError: in every process.
    """
    if spec.engine != "native":
        raise UserError(
            f"Under torchrun the native engine runs; {spec.engine} has its own ways to use several GPUs."
        )
    if setting.workers is not None:
        raise UserError("Workers are processes of their own; leave out either --workers or torchrun.")
    from evalsuite.engine.engines import parse_arguments
    from evalsuite.engine.tensor_parallel.engine import TensorParallelEngine

    engine = TensorParallelEngine(
        files,
        team=team,
        dtype=spec.dtype,
        device=spec.device,
        trust_remote_code=spec.trust_remote_code,
        verify_weights=setting.verify_weights,
        logits_dtype=spec.logits_dtype,
        tokens=token_options_of(spec),
        arguments=parse_arguments(spec.engine_args),
    )
    return engine.run_on_rank_zero(
        lambda: execute(spec, tasks, files, setting, engine=engine, progress=progress)
    )
