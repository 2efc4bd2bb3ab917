"""Finds the training step of each run.

Public names: `steps_of`, `step_of`, `step_in`, `StepSource`.
"""

import re
from collections.abc import Sequence
from typing import Literal

from evalsuite.errors import UserError
from evalsuite.results.read import RunSide

_STEP = re.compile(r"(?:step|iter|iteration|checkpoint|ckpt)[-_=]?(\d+)([km]?)(?![a-z0-9])", re.IGNORECASE)
_THOUSANDS = {"": 1, "k": 1_000, "m": 1_000_000}
StepSource = Literal["names", "given", "order"]


def steps_of(sides: Sequence[RunSide], given: Sequence[int] | None) -> tuple[list[int], StepSource]:
    """The step of each run and its source; raises UserError if given steps do not match the runs."""
    if given is not None:
        if len(given) != len(sides):
            raise UserError(
                f"--steps has {len(given)} numbers for {len(sides)} runs; give one number per run."
            )
        if len(set(given)) < len(given):
            raise UserError("--steps has the same step twice; each run must be a different checkpoint.")
        return list(given), "given"
    for names in (
        [side.log.model.revision or side.log.spec.revision or "" for side in sides],
        [side.log.spec.model for side in sides],
        [side.folder.resolve().name for side in sides],
    ):
        found = [step_in(name) for name in names]
        numbers = [number for number in found if number is not None]
        if len(set(numbers)) == len(sides):
            return numbers, "names"
    return list(range(1, len(sides) + 1)), "order"


def step_of(side: RunSide) -> int | None:
    """The step in the name of a run's folder, else of its model; None if there is none."""
    names = (
        side.folder.resolve().name,
        side.log.model.revision or side.log.spec.revision or "",
        side.log.spec.model,
    )
    return next((step for step in map(step_in, names) if step is not None), None)


def step_in(name: str) -> int | None:
    """The number after the last step, iter, checkpoint or ckpt in a name; None if there is none."""
    matches = _STEP.findall(name)
    if not matches:
        return None
    digits, unit = matches[-1]
    return int(digits) * _THOUSANDS[unit.lower()]
