"""Verdicts on multiple choice from log-likelihoods."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.types import ClozePair, MultipleChoice, Score


@dataclass(frozen=True, slots=True)
class ChoiceVerdict:
    """What the log-likelihoods choose."""

    predictions: dict[str, int]
    """By metric: index of the choice with the highest value; ties go to the first."""
    metrics: dict[str, float]
    """1 for the right choice, by metric; and `bits_per_byte`."""

    def prediction(self, metric: str) -> int:
        """The choice that `metric` judges; of a metric that judges none, the likeliest."""
        return self.predictions.get(metric, self.predictions["acc"])


def choose(
    question: MultipleChoice | ClozePair,
    texts: Sequence[str],
    scores: Sequence[Score],
    unconditional: Sequence[Score] = (),
) -> ChoiceVerdict:
    """Every metric of multiple choice, as lm-eval 0.4 and OLMES define them.

    `acc`: the highest summed log-likelihood. `acc_norm`, `acc_bytes`, `acc_tokens`: after division by the length in
    Unicode characters (the paper of acc_norm says bytes, the reference divides by characters), UTF-8 bytes or
    tokens (lm-eval 0.4.13, api/task.py, process_results; OLMES, Gu et al. 2024, arXiv:2406.08446).
    `acc_mutual_info`: less the log-likelihood without the question. `bits_per_byte`: of the right text.

    Args:
        question: holds the right answer.
        texts: the scored texts without delimiter.
        scores: log-likelihoods in the same order.
        unconditional: the same texts' after a context without the question; without them there is no
            acc_mutual_info.
    """
    sums = [score.log_likelihood for score in scores]
    lengths = {
        "acc_norm": [len(text) for text in texts],
        "acc_bytes": [len(text.encode()) for text in texts],
        "acc_tokens": [len(score.log_probs) for score in scores],
    }
    values = {"acc": sums}
    for metric, sizes in lengths.items():
        values[metric] = [total / max(size, 1) for total, size in zip(sums, sizes, strict=True)]
    if unconditional:
        prior = [score.log_likelihood for score in unconditional]
        values["acc_mutual_info"] = [total - alone for total, alone in zip(sums, prior, strict=True)]
    predictions = {metric: _first_best(ones) for metric, ones in values.items()}
    metrics = {metric: float(place == question.answer) for metric, place in predictions.items()}
    metrics["bits_per_byte"] = bits_per_byte(texts[question.answer], scores[question.answer])
    return ChoiceVerdict(predictions, metrics)


def bits_per_byte(text: str, score: Score) -> float:
    """Bits that the model needs for each UTF-8 byte of `text`, which is given without its delimiter."""
    return -score.log_likelihood / math.log(2) / max(len(text.encode()), 1)


def _first_best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda place: (values[place], -place))
