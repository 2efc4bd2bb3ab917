"""Decides which naming a checkpoint has, by all of its names, and finds the model's tensors in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from evalsuite.checkpoints.raw.account import account
from evalsuite.checkpoints.raw.stored import Stored
from evalsuite.checkpoints.raw.target import TargetModel
from evalsuite.dcp.index import CheckpointIndex
from evalsuite.dcp.names import CleanNames, clean
from evalsuite.dcp.namings import Naming, kind_of, namings
from evalsuite.errors import ModelError

NAMED = 3
"""So many names stand in a message."""


@dataclass(frozen=True, slots=True)
class NamedWeights:
    """A checkpoint's weights in one naming."""

    naming: Naming
    prefix: str
    """What the names of weights begin with before those of the naming."""
    own_names: Mapping[str, str]
    """The checkpoint's own names, by the naming's."""


def named_weights(index: CheckpointIndex, target: TargetModel) -> NamedWeights:
    """The weights in the naming that knows most of the names, whatever the number of layers.

    `account` then refuses every name that it does not know.

    Raises:
        ModelError: no naming knows most of the names, or two know equally many.
    """
    names = clean(index.tensors)
    if names.repeated:
        raise ModelError(
            f"Checkpoint {index.folder} has two tensors for one weight: {names.repeated[0]} is, without the "
            "segments of wrappers, the name of another."
        )
    if not names.weights:
        raise ModelError(f"Checkpoint {index.folder} holds no weights, only training state.")
    candidates = [
        (_known(names, prefix, naming), prefix, naming)
        for naming in namings(target)
        for prefix in names.prefixes()
    ]
    most = max(known for known, _, _ in candidates)
    best = [(prefix, naming) for known, prefix, naming in candidates if known == most]
    if 2 * most <= len(names.weights):
        raise _unknown(index, names, target)
    if len(best) > 1:
        titles = " or ".join(f"{naming.title} names{_after(prefix)}" for prefix, naming in best)
        raise ModelError(f"Checkpoint {index.folder} does not tell its naming: its names may be {titles}.")
    [(prefix, naming)] = best
    own = {
        name.removeprefix(prefix): given for name, given in names.weights.items() if name.startswith(prefix)
    }
    return NamedWeights(naming, prefix, own)


def model_tensors(index: CheckpointIndex, target: TargetModel) -> dict[str, Stored]:
    """A reader for each tensor of the model.

    Raises:
        ModelError: one sentence that says what does not fit.
    """
    weights = named_weights(index, target)
    naming = weights.naming
    left = dict(weights.own_names)
    found: dict[str, Stored] = {}
    for name, own in naming.own_names.items():
        if own in left:
            stored = index.stored(left.pop(own))
            convert = naming.convert.get(name)
            fits = name in naming.tensors.specs and stored.shape == naming.tensors.specs[name].shape
            found[name] = convert(stored) if convert and fits else stored
    return account(
        naming.tensors, found, list(left.values()), checkpoint=index.folder, config_folder=target.folder
    )


def _known(names: CleanNames, prefix: str, naming: Naming) -> int:
    kinds = naming.kinds()
    return sum(
        kind_of(name.removeprefix(prefix)) in kinds for name in names.weights if name.startswith(prefix)
    )


def _after(prefix: str) -> str:
    return f" after '{prefix}'" if prefix else ""


def _unknown(index: CheckpointIndex, names: CleanNames, target: TargetModel) -> ModelError:
    titles = ", ".join(naming.title for naming in namings(target))
    family = target.config.get("model_type")
    first = ", ".join(list(names.weights.values())[:NAMED])
    return ModelError(
        f"Checkpoint {index.folder} names its tensors in no known way for the architecture {family} "
        f"({titles}): {first}."
    )
