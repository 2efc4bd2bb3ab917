"""The targets of mathematical problems as the reference harnesses define them; dumps show their hashes.

The functions come from the harnesses' packages and are imported when called: lm-eval's take a second or two.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evalsuite.errors import UserError
from evalsuite.prompting.spec import PromptSpec, Scorer
from evalsuite.scoring.texts import grader_path
from evalsuite.scoring.workers import ScorerFailed, call_all


def minerva_target(solution: str) -> str:
    """lm-eval 0.4.13, tasks/minerva_math/utils.py: the normalized boxed answer."""
    from lm_eval.tasks.minerva_math import utils

    boxed = utils.remove_boxed(utils.last_boxed_only_string(solution))
    return str(utils.normalize_final_answer(boxed))


def hendrycks_target(solution: str) -> str:
    """lm-eval 0.4.13, tasks/hendrycks_math/utils.py: the boxed answer, unchanged."""
    from lm_eval.tasks.hendrycks_math import utils

    return str(utils.remove_boxed(utils.last_boxed_only_string(solution)))


def nvidia_target(solution: str) -> str | None:
    """nvidia-lm-eval, adlr_minerva_math_nemo: the text that math-verify found in the solution.

    It depends on the version of math-verify. None if it has no second reading, where the reference stops
    with an IndexError: with 0.9.0 in one row of 5000, with 0.7.0 in none.
    """
    from math_verify import parse

    readings = parse(solution)
    return str(readings[1]) if len(readings) > 1 else None


_TARGETS: Mapping[Scorer, Callable[[str], str | None]] = {
    "minerva_math": minerva_target,
    "hendrycks_math": hendrycks_target,
    "nvidia_math": nvidia_target,
}


def reference_targets(spec: PromptSpec, solutions: Sequence[str]) -> list[str | None] | None:
    """The target of each solution; None if the reference of the spec's scorer takes none from it.

    Raises:
        UserError: the version of math-verify that the spec names is not installed, or a worker failed.
    """
    target = _TARGETS.get(spec.scorer)
    if target is None:
        return None
    path = grader_path(spec)
    if not path:
        return [target(solution) for solution in solutions]
    found: list[Any] = call_all(f"{__name__}:{target.__name__}", [(one,) for one in solutions], path=path)
    failure = next((one for one in found if isinstance(one, ScorerFailed)), None)
    if failure is not None:
        raise UserError(f"The targets of {spec.recipe}/{spec.task} cannot be computed: {failure}.")
    return found
