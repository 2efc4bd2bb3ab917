"""Verdicts on multiple choice from log-likelihoods."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.types import ClozePair, MultipleChoice, Score


@dataclass(frozen=True, slots=True)
class ChoiceVerdict:
    """What the log-likelihoods choose."""

    prediction: int
    """Index of the choice with the highest summed log-likelihood; ties go to the first."""
    prediction_norm: int
    """The same after division by the choice's length in characters."""
    metrics: dict[str, float]


def choose(
    question: MultipleChoice | ClozePair, texts: Sequence[str], scores: Sequence[Score]
) -> ChoiceVerdict:
    """`acc` and `acc_norm` as lm-eval 0.4 defines them (api/task.py, process_results).

    Args:
        question: holds the right answer.
        texts: the scored texts without delimiter; their length in Unicode characters normalises
            (the paper says bytes, the reference divides by characters).
        scores: log-likelihoods in the same order.
    """
    sums = [score.log_likelihood for score in scores]
    normed = [total / max(len(text), 1) for total, text in zip(sums, texts, strict=True)]
    prediction, prediction_norm = _first_best(sums), _first_best(normed)
    return ChoiceVerdict(
        prediction,
        prediction_norm,
        {
            "acc": float(prediction == question.answer),
            "acc_norm": float(prediction_norm == question.answer),
        },
    )


def _first_best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda place: (values[place], -place))
