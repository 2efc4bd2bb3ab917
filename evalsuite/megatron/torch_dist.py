"""Megatron's distributed checkpoints, `torch_dist`: the weights of all ranks in one index.

Beside the weights the index names the state of the optimizer and of the random numbers, which are left out
by their names. Sources: Megatron-Core 0.16.1, `dist_checkpointing/strategies/torch.py`,
`optimizer/optimizer.py` and `optimizer/distrib_optimizer.py` (names).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from evalsuite.checkpoints.raw.distributed import DISTRIBUTED_INDEX, INDEX_DAMAGE, distributed_tensors
from evalsuite.checkpoints.raw.stored import BlockedTensor, FilePart, Stored
from evalsuite.errors import ModelError
from evalsuite.megatron.assemble import from_blocks
from evalsuite.megatron.folders import COMMON_FILE, check_backend, check_iteration
from evalsuite.megatron.names import Key, parse
from evalsuite.megatron.pickles import TrainingState, read_state

NOT_WEIGHTS = re.compile(r"(?:chained_\d+\.)*optimizer\..*|rng_state.*|rerun_state_machine_state.*")
"""Tensors of the training's state."""


def torch_dist_state(path: Path) -> TrainingState:
    """The training's arguments and iteration; refuses an unfinished checkpoint.

    Raises:
        ModelError: a file is missing, cut off or damaged, or has objects that are not allowed.
    """
    check_backend(path)
    state, _ = read_state(_parts(path)[COMMON_FILE], f"arguments in {path / COMMON_FILE}")
    check_iteration(path, state.iteration)
    for _ in _tensors(path):
        pass
    return state


def torch_dist_weights(path: Path) -> tuple[dict[Key, Stored], list[str]]:
    """The weights by our names, and the names of tensors that neither a GPT nor a Mamba hybrid has.

    Raises:
        ModelError: damaged.
    """
    known, unknown = [], []
    for name, tensor in _tensors(path):
        try:
            parse(name)
            known.append((name, tensor))
        except KeyError:
            unknown.append(name)
    try:
        return from_blocks(known), unknown
    except KeyError as error:
        raise ModelError(f"Checkpoint {path} lacks {error.args[0]}.") from None


def _parts(path: Path) -> dict[str, FilePart]:
    try:
        return {each.name: FilePart.whole(each) for each in path.iterdir() if each.is_file()}
    except OSError as error:
        raise ModelError(f"Checkpoint {path} cannot be read: {error.strerror}.") from None


def _tensors(path: Path) -> Iterator[tuple[str, BlockedTensor]]:
    """The tensors of the index, without the training's state."""
    if not (path / DISTRIBUTED_INDEX).is_file():
        raise ModelError(f"Checkpoint {path} has no {DISTRIBUTED_INDEX}: it is not completely written.")
    try:
        for name, tensor in distributed_tensors(_parts(path)):
            if not NOT_WEIGHTS.fullmatch(name):
                yield name, tensor
    except KeyError as error:
        lacking = error.args[0]
        what = f"the file {lacking}" if isinstance(lacking, str) else f"a block of {lacking[0]}"
        raise ModelError(f"Checkpoint {path} lacks {what}.") from None
    except EOFError as error:
        raise ModelError(
            f"Checkpoint {path}: its file {' '.join(map(str, error.args))} is cut off."
        ) from None
    except (*INDEX_DAMAGE, OSError):
        raise ModelError(f"Checkpoint {path}: its {DISTRIBUTED_INDEX} is damaged.") from None
