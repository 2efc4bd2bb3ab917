"""Reads what Megatron pickles beside the weights: the arguments of the training, and the iteration.

`weights_only` allows tensors and plain containers. The classes of Megatron, NumPy and Python that a
checkpoint names besides are listed here; but for `argparse.Namespace` an object without content takes their
place. No code of a checkpoint runs. Source of the list: Megatron-Core 0.16.1 and Megatron-LM of August 2026,
`megatron/core/safe_globals.py`.
"""

import io
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalsuite.checkpoints.raw.stored import FilePart
from evalsuite.checkpoints.raw.torch_file import Allowed, TorchFile, read_torch_file
from evalsuite.errors import ModelError

REPLACED = (
    "types.SimpleNamespace",
    "pathlib.PosixPath",
    "pathlib._local.PosixPath",
    "signal.Signals",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.dtypes.UInt32DType",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "torch._C.Generator",
    "megatron.core.enums.ModelType",
    "megatron.core.optimizer.optimizer_config.OptimizerConfig",
    "megatron.core.rerun_state_machine.RerunDiagnostic",
    "megatron.core.rerun_state_machine.RerunMode",
    "megatron.core.rerun_state_machine.RerunState",
    "megatron.core.transformer.enums.AttnBackend",
    "megatron.core.transformer.enums.CudaGraphModule",
    "megatron.core.transformer.enums.CudaGraphScope",
    "megatron.core.transformer.enums.InferenceCudaGraphScope",
    "megatron.core.transformer.pipeline_parallel_layer_layout.PipelineParallelLayerLayout",
)


class Replaced:
    """Takes the place of an object of a class in `REPLACED`."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


ALLOWED: list[Allowed] = [io.BytesIO, Namespace, *((Replaced, name) for name in REPLACED)]


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What a checkpoint says about its training."""

    arguments: Mapping[str, Any] | None
    """Megatron's command line; None if it was not stored."""
    iteration: int | None


def read_state(part: FilePart, what: str) -> tuple[TrainingState, TorchFile]:
    """Read `common.pt` or `model_optim_rng.pt`, and no tensor; the second value has all that it holds.

    Args:
        part: the file.
        what: its name in messages.

    Raises:
        ModelError: damaged, or with an object that is not allowed.
    """
    file = read_torch_file(part, what, ALLOWED)
    content = file.content
    if not isinstance(content, dict):
        raise ModelError(f"The {what} are not those of a training: they are not a mapping.")
    arguments, iteration = content.get("args"), content.get("iteration")
    state = TrainingState(
        vars(arguments) if isinstance(arguments, Namespace) else None,
        iteration if isinstance(iteration, int) else None,
    )
    return state, file
