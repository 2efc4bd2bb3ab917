"""Scores multiple choice by log-likelihoods."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.types import ClozePair, MultipleChoice, Score


@dataclass(frozen=True, slots=True)
class ChoiceVerdict:
    """The choices with the highest log-likelihoods."""

    predictions: dict[str, int]
    """Index of the choice with the highest value, by metric; the first choice wins ties."""
    metrics: dict[str, float]
    """1 for the correct choice, by metric; and `bits_per_byte`."""
    margins: dict[str, float]
    """Total change, in nats, of the two best log-likelihoods that makes the second the best, by metric.

    Infinite if there is only one choice.
    """

    def margin(self, metric: str) -> float:
        """The margin of `prediction(metric)`."""
        return self.margins.get(metric, self.margins["acc"])

    def prediction(self, metric: str) -> int:
        """The choice that `metric` scores; for a metric that scores none, the likeliest."""
        return self.predictions.get(metric, self.predictions["acc"])


def chosen_answer(
    question: MultipleChoice | ClozePair,
    texts: Sequence[str],
    scores: Sequence[Score],
    unconditional: Sequence[Score] = (),
) -> ChoiceVerdict:
    """Every metric of multiple choice, as lm-eval 0.4 and OLMES define them.

    `acc`: the highest summed log-likelihood. `acc_norm`, `acc_bytes`, `acc_tokens`: after division by the
    length in Unicode characters (the paper of acc_norm says bytes, the reference divides by characters),
    UTF-8 bytes or tokens (lm-eval 0.4.13, api/task.py, process_results; OLMES, Gu et al. 2024,
    arXiv:2406.08446). `acc_mutual_info`: minus the log-likelihood without the question. `bits_per_byte`: of
    the correct text.

    Args:
        question: the question with its gold answer.
        texts: the scored texts without delimiter.
        scores: log-likelihoods of the texts.
        unconditional: log-likelihoods of the texts after a context without the question; empty if the
            spec does not ask for acc_mutual_info.
    """
    sums = [score.log_likelihood for score in scores]
    lengths = {
        "acc_norm": [len(text) for text in texts],
        "acc_bytes": [len(text.encode()) for text in texts],
        "acc_tokens": [len(score.log_probs) for score in scores],
    }
    values = {"acc": sums}
    margins = {"acc": _margin(sums, [1] * len(sums))}
    for metric, sizes in lengths.items():
        values[metric] = [total / max(size, 1) for total, size in zip(sums, sizes, strict=True)]
        margins[metric] = _margin(values[metric], sizes)
    if unconditional:
        prior = [score.log_likelihood for score in unconditional]
        values["acc_mutual_info"] = [total - alone for total, alone in zip(sums, prior, strict=True)]
        margins["acc_mutual_info"] = _margin(values["acc_mutual_info"], [1] * len(sums))
    predictions = {metric: _first_best(by_choice) for metric, by_choice in values.items()}
    metrics = {metric: float(choice == question.answer) for metric, choice in predictions.items()}
    metrics["bits_per_byte"] = bits_per_byte(texts[question.answer], scores[question.answer])
    return ChoiceVerdict(predictions, metrics, margins)


def bits_per_byte(text: str, score: Score) -> float:
    """Bits per UTF-8 byte of `text`, which has no delimiter."""
    return -score.log_likelihood / math.log(2) / max(len(text.encode()), 1)


def _margin(values: Sequence[float], sizes: Sequence[int]) -> float:
    """Total nats at which the two best values meet: x nats move a value by x / size."""
    if len(values) < 2:
        return math.inf
    second, best = sorted(range(len(values)), key=values.__getitem__)[-2:]
    return 2 * (values[best] - values[second]) / sum(1 / max(sizes[choice], 1) for choice in (best, second))


def _first_best(values: Sequence[float]) -> int:
    """As numpy's argmax, which the references use: the first NaN, or else the first of the largest values.

    Engines report NaN as a failure, so that a run never gets here with one.
    """
    if any(map(math.isnan, values)):
        return next(choice for choice, value in enumerate(values) if math.isnan(value))
    return max(range(len(values)), key=lambda choice: (values[choice], -choice))
