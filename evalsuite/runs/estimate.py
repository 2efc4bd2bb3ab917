"""What a run would compute, told before anything is: the tokenizer is loaded, the weights are not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.engines import make_engine
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.work_estimate import Memory, Work, memory_of, work_of
from evalsuite.engine.token_options import refuse_missing_tokens
from evalsuite.errors import UserError
from evalsuite.registry.selected import Selected
from evalsuite.requests.build import build_requests
from evalsuite.requests.document import DocumentRequests, generate_requests, score_requests
from evalsuite.requests.prepare import prepare
from evalsuite.results.run_spec import RunSpec
from evalsuite.runs.asked import as_asked
from evalsuite.runs.engine import engine_spec
from evalsuite.runs.smoke import SmokeTest


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The work of a run, whatever is stored already."""

    model: str
    numerics: str
    tasks: dict[str, Work]
    """By task name: what the task would take by itself."""
    total: Work
    """What all of them take together."""
    memory: Memory
    in_batches: str
    """Why scoring does not run on packed trees; empty if it does."""
    smoke_tokens: int
    """Tokens of the smoke test before them; 0 without it."""
    tried: bool
    """Whether an earlier run has tried the forms on this model; else they are told from its configuration
    alone."""


def plan_run(
    spec: RunSpec,
    tasks: Sequence[Selected],
    files: ModelFiles,
    data_dir: Path | None = None,
    tuning: tuple[str, ...] = (),
    smoke: bool = True,
) -> RunPlan:
    """Plan what `spec` asks for.

    Args:
        spec: what is asked for.
        tasks: the tasks that it names.
        files: the model that it names.
        data_dir: where data sets are.
        tuning: settings of the engine that cannot change an answer, each `NAME=VALUE`.
        smoke: whether the run begins with the smoke test.

    Raises:
        UserError: anything that the user can fix.
    """
    engine = make_engine(engine_spec(spec, files, tuning=tuning))
    if not isinstance(engine, TransformersEngine):
        raise UserError(f"--plan-only is for the native engine; {spec.engine} plans by itself.")
    refuse_missing_tokens(engine.tokenizer, spec.bos, spec.prefix_token)
    asked = {
        one.name: build_requests(
            prepare(
                as_asked(one, spec),
                data_dir=data_dir,
                split=spec.split,
                subset=spec.subset,
                allow_drift=spec.allow_data_drift,
            ),
            engine.tokenizer,
            engine.max_length,
            spec.seed,
        )
        for one in tasks
    }
    return RunPlan(
        model=spec.model,
        numerics=engine.expected_identity.numerics,
        tasks={name: _work(engine, documents) for name, documents in asked.items()},
        total=_work(engine, [one for documents in asked.values() for one in documents]),
        memory=memory_of(engine),
        smoke_tokens=SmokeTest.of(engine.tokenizer, engine.max_length).tokens if smoke else 0,
        in_batches=engine.scorer.why_batches,
        tried=engine.knows_identity,
    )


def _work(engine: TransformersEngine, documents: Sequence[DocumentRequests]) -> Work:
    return work_of(engine, score_requests(documents), generate_requests(documents))
