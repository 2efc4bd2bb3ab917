"""What a trial finds out about a module before it answers: vocabulary, causality, whether padding matters."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evalsuite.engine.live.lockstep import Lockstep
from evalsuite.engine.live.logits_module import LogitsModule
from evalsuite.engine.native.differences import allowed_difference, difference_of
from evalsuite.engine.native.score_batch import PADDING_ID
from evalsuite.errors import ModelError

TRIAL_LENGTHS = (19, 11, 5)
"""Tokens of the trial's rows."""
STEP = 37
"""Between the ids of neighbouring tokens."""


@dataclass(frozen=True, slots=True)
class ModuleFit:
    """What a trial found."""

    vocabulary: int
    """Logits of a position."""
    pads: bool
    """Whether rows of unequal length may share a padded batch."""
    note: str = ""
    """Why not, for the run log."""


def tried(model: LogitsModule, window: int | None, tokens: int, lockstep: Lockstep) -> ModuleFit:
    """Try a module: in each process of a lockstep the same five passes.

    Args:
        model: the module.
        window: its context window, if it is known.
        tokens: number of token ids that are surely valid.
        lockstep: the processes that share the weights.

    Raises:
        ModelError: the module does not give logits, or is not causal.
    """
    lengths = [min(length, window or length) for length in TRIAL_LENGTHS]
    rows = [_ids(length, tokens, start) for start, length in enumerate(lengths)]
    alone = [_logits(model, [row])[0] for row in rows]
    other = [*rows[0][:-1], (rows[0][-1] + 1) % tokens]
    changed = _logits(model, [other])[0]
    together = _logits(model, rows)
    allowed = allowed_difference(model.dtype)
    behind = lockstep.largest(difference_of(changed[:-1], alone[0][:-1])) if lengths[0] > 1 else 0.0
    if behind > allowed:
        raise ModelError(
            f"Model '{model.name}' is no causal language model: what it predicts for a token changes with "
            "the tokens behind it. evalsuite evaluates models that predict the next token."
        )
    padded = max(difference_of(found[: len(own)], own) for found, own in zip(together, alone, strict=True))
    padded = lockstep.largest(padded)
    vocabulary = alone[0].shape[-1]
    if padded <= allowed:
        return ModuleFit(vocabulary, pads=True)
    reason = f"a padded batch differed from single rows by {padded:.2g} of the logits' spread"
    return ModuleFit(vocabulary, pads=False, note=f"computed in batches of rows of one length: {reason}")


def _ids(length: int, tokens: int, start: int) -> list[int]:
    return [(5 + start + STEP * index) % tokens for index in range(length)]


def _logits(model: LogitsModule, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Float32 logits (rows, tokens, vocabulary) of right-padded rows."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[PADDING_ID] * (longest - len(row))] for row in rows])
    logits: torch.Tensor = model(ids).logits
    return logits.float()
