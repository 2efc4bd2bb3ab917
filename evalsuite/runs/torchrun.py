"""A run in a team: several processes that torchrun started hold one model together."""

from collections.abc import Sequence

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.tensor_parallel.ranks import Ranks
from evalsuite.errors import UserError
from evalsuite.progress import Progress
from evalsuite.prompting.suites import Suite
from evalsuite.registry.selected import Selected
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import RunLog
from evalsuite.runs.engine import engine_spec
from evalsuite.runs.execute import execute
from evalsuite.runs.options import Execution


def execute_in_team(
    team: Ranks,
    spec: RunSpec,
    tasks: Sequence[Selected],
    files: ModelFiles,
    execution: Execution,
    progress: Progress | None = None,
    suites: Sequence[Suite] = (),
) -> RunLog:
    """`runs.execute.execute`, called by every process of the team: rank 0 runs it, the other ranks mirror its
    engine.

    Raises:
        UserError: in every process.
    """
    if spec.engine != "native":
        raise UserError(
            f"Under torchrun the native engine runs; {spec.engine} has its own ways to use several GPUs."
        )
    if execution.workers is not None:
        raise UserError("Workers are processes of their own; leave out either --workers or torchrun.")
    from evalsuite.engine.tensor_parallel.engine import TensorParallelEngine

    asked = engine_spec(spec, files, execution.verify_weights)
    engine = TensorParallelEngine(files, team=team, **asked.options)
    return engine.run_on_rank_zero(
        lambda: execute(spec, tasks, files, execution, suites=suites, engine=engine, progress=progress)
    )
