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
    margins: dict[str, float]
    """By metric: what the log-likelihoods of the two best choices would have to change by, together and in
    nats, for the second to be the best; infinite if there is one choice."""

    def margin(self, metric: str) -> float:
        """The margin of `prediction(metric)`."""
        return self.margins.get(metric, self.margins["acc"])

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

    `acc`: the highest summed log-likelihood. `acc_norm`, `acc_bytes`, `acc_tokens`: after division by the
    length in Unicode characters (the paper of acc_norm says bytes, the reference divides by characters),
    UTF-8 bytes or tokens (lm-eval 0.4.13, api/task.py, process_results; OLMES, Gu et al. 2024,
    arXiv:2406.08446). `acc_mutual_info`: less the log-likelihood without the question. `bits_per_byte`: of
    the right text.

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
    margins = {"acc": _margin(sums, [1] * len(sums))}
    for metric, sizes in lengths.items():
        values[metric] = [total / max(size, 1) for total, size in zip(sums, sizes, strict=True)]
        margins[metric] = _margin(values[metric], sizes)
    if unconditional:
        prior = [score.log_likelihood for score in unconditional]
        values["acc_mutual_info"] = [total - alone for total, alone in zip(sums, prior, strict=True)]
        margins["acc_mutual_info"] = _margin(values["acc_mutual_info"], [1] * len(sums))
    predictions = {metric: _first_best(ones) for metric, ones in values.items()}
    metrics = {metric: float(place == question.answer) for metric, place in predictions.items()}
    metrics["bits_per_byte"] = bits_per_byte(texts[question.answer], scores[question.answer])
    return ChoiceVerdict(predictions, metrics, margins)


def bits_per_byte(text: str, score: Score) -> float:
    """Bits that the model needs for each UTF-8 byte of `text`, which is given without its delimiter."""
    return -score.log_likelihood / math.log(2) / max(len(text.encode()), 1)


def _margin(values: Sequence[float], sizes: Sequence[int]) -> float:
    """A change of x nats moves a value by x / size, so two values meet after gap / (1/a + 1/b) nats at
    each."""
    if len(values) < 2:
        return math.inf
    second, best = sorted(range(len(values)), key=values.__getitem__)[-2:]
    return 2 * (values[best] - values[second]) / sum(1 / max(sizes[place], 1) for place in (best, second))


def _first_best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda place: (values[place], -place))
