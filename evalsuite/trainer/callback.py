"""A callback for the Trainer of transformers; `Evaluator.add_to` makes and adds it."""

import logging
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from evalsuite.errors import UserError
from evalsuite.results.runlog import RunLog

if TYPE_CHECKING:
    from evalsuite.trainer.evaluator import Evaluator

logger = logging.getLogger(__name__)


class EvaluationCallback(TrainerCallback):
    """Evaluates the Trainer's model and logs the scores through the Trainer's own `log`.

    Args:
        trainer: the Trainer.
        evaluator: what is evaluated.
        every: training steps between two evaluations; None to evaluate after each of the Trainer's own.
        prefix: put before each name in the log, for example `eval_`.
        strict: end the training with an error of the evaluation, in place of a warning.
    """

    def __init__(
        self,
        trainer: Any,
        evaluator: "Evaluator",
        every: int | None = None,
        prefix: str = "",
        *,
        strict: bool = False,
    ) -> None:
        if every is not None and every < 1:
            raise UserError(f"every must be at least 1, not {every}.")
        self._trainer = trainer
        self._evaluator = evaluator
        self._every = every
        self._prefix = prefix
        self._strict = strict

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Evaluate after every so many steps."""
        if self._every is not None and state.global_step % self._every == 0:
            self._evaluate(state.global_step, control)

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Evaluate after an evaluation of the Trainer's own."""
        if self._every is None:
            self._evaluate(state.global_step, control)

    def _evaluate(self, step: int, control: Any) -> None:
        try:
            log = self._evaluator(self._trainer.model_wrapped, step=step)
        except UserError as error:
            if self._strict:
                raise
            logger.warning("The evaluation at step %d failed, and the training goes on: %s", step, error)
            return
        if log is not None:  # on the first rank
            waiting = control.should_log
            self._trainer.log(scores_of_log(log, self._prefix))
            control.should_log = waiting  # the Trainer has still to log the loss of this step


def scores_of_log(log: RunLog, prefix: str = "") -> dict[str, float]:
    """Every score of a run by `task/metric`, and the means of suites and recipes."""
    scores = {
        f"{task.name}/{name}": metric.value for task in log.tasks for name, metric in task.metrics.items()
    }
    averages = {f"{each.recipe}/{each.metric}": each.score.value for each in log.averages}
    means = {
        f"{suite.label(name)}/{mean.metric}": mean.score.value
        for suite in log.suites
        for name, mean in suite.means.items()
        if mean.score is not None
    }
    return {f"{prefix}{name}": value for name, value in {**scores, **averages, **means}.items()}
