"""The targets of mathematical problems as the reference harnesses define them; dumps show their hashes.

The functions come from the harnesses' packages and are imported when called: lm-eval's take a second or two.
"""

from collections.abc import Callable, Mapping

from evalsuite.prompting.spec import Scorer


def minerva_target(solution: str) -> str:
    """lm-eval 0.4.13, tasks/minerva_math/utils.py: the normalized boxed answer."""
    from lm_eval.tasks.minerva_math import utils

    boxed = utils.remove_boxed(utils.last_boxed_only_string(solution))
    return str(utils.normalize_final_answer(boxed))


def hendrycks_target(solution: str) -> str:
    """lm-eval 0.4.13, tasks/hendrycks_math/utils.py: the boxed answer, unchanged."""
    from lm_eval.tasks.hendrycks_math import utils

    return str(utils.remove_boxed(utils.last_boxed_only_string(solution)))


def nvidia_target(solution: str) -> str:
    """nvidia-lm-eval 25.5, adlr_minerva_math_nemo: the text that math-verify found in the solution.

    The text depends on the version of math-verify; the golden files come from version 0.7.0.
    """
    from math_verify import parse

    return str(parse(solution)[-1])


TARGETS: Mapping[Scorer, Callable[[str], str]] = {
    "minerva_math": minerva_target,
    "hendrycks_math": hendrycks_target,
    "nvidia_math": nvidia_target,
}
