"""The engine that a run asks for."""

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.engines import engine_kind, make_engine
from evalsuite.engine.protocol import Engine
from evalsuite.engine.replicas.engine import ReplicatedEngine
from evalsuite.engine.replicas.worker import EngineSetup
from evalsuite.engine.settings import EngineSpec
from evalsuite.engine.token_options import TokenOptions
from evalsuite.errors import UserError
from evalsuite.progress import Progress, Silent
from evalsuite.results.run_spec import RunSpec
from evalsuite.runs.options import Execution


def make_engine_of(
    spec: RunSpec, files: ModelFiles, execution: Execution, progress: Progress | None = None
) -> Engine:
    """The engine that `spec` names, or workers that hold it, not yet loaded; `progress` hears of workers."""
    asked = engine_spec(spec, files, execution.verify_weights, execution.engine_tuning)
    if execution.workers is None:
        return make_engine(asked)
    if not engine_kind(spec.engine).needs_files:
        raise UserError(
            f"Workers each hold a model, and the engine {spec.engine} holds none; leave --workers out."
        )
    return ReplicatedEngine(EngineSetup(asked), execution.workers, (progress or Silent()).worker)


def engine_spec(
    spec: RunSpec, files: ModelFiles, verify_weights: bool = False, tuning: tuple[str, ...] = ()
) -> EngineSpec:
    """The engine that a run asks for; `tuning` are settings that can change no answer."""
    return EngineSpec(
        spec.engine,
        files,
        dtype=spec.dtype,
        device=spec.device,
        logits_dtype=spec.logits_dtype,
        trust_remote_code=spec.trust_remote_code,
        verify_weights=verify_weights,
        tokens=token_options_of(spec),
        arguments=(*spec.engine_args, *tuning),
    )


def token_options_of(spec: RunSpec) -> TokenOptions:
    """What `spec` says of tokens in place of the model's own files."""
    return TokenOptions(spec.tokenizer, spec.prefix_token, spec.max_length)
