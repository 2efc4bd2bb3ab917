"""Statistics of repeated sampling: several generated answers for each document.

Public names: `VarianceSplit`, `variance_split`, `metric_split`, `pass_at_k`, `pass_at_k_estimate`,
`majority_at_k`, `majority_at_k_estimate`.

The documents are always the sampled unit: more answers make the value of a document more precise, but never
increase the number of documents.
"""

import math
import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

from evalsuite.stats.bootstrap import bootstrap_interval
from evalsuite.stats.intervals import Estimate, mean_estimate
from evalsuite.stats.passk import pass_at_k
from evalsuite.stats.vote import majority

if TYPE_CHECKING:
    import numpy as np

_VOTES = 200
"""Number of random votes per document; their noise averages out over documents."""
_MOST_SUBSETS = 5_000
"""Largest number of subsets of answers that all vote; above it, this many random subsets vote."""


@dataclass(frozen=True, slots=True)
class VarianceSplit:
    """The parts of the standard error of a mean over documents and answers."""

    stderr: float
    """Standard error of the score for other documents and other answers."""
    problems: float
    """The part that remains with any number of answers."""
    sampling: float
    """The part due to the sampling seed, which a re-run on the same documents would show."""


def variance_split(values: Sequence[Sequence[float]]) -> VarianceSplit:
    """Split the error of the mean of `values[document][answer]` by the law of total variance.

    Miller 2024 (arXiv:2411.00640, section 3.1): Var = (Var of document means + mean within-document
    variance / answers) / documents. The within part is unbiased (n - 1); the problem part, a difference, is
    cut at 0. Raises ValueError if a document has fewer than two answers, from which the parts cannot be
    estimated.
    """
    import numpy as np

    if len(values) < 2 or any(len(answers) < 2 for answers in values):
        raise ValueError("a split needs two documents with two answers each")
    means = np.array([math.fsum(answers) / len(answers) for answers in values])
    within = np.array([np.var(answers, ddof=1) / len(answers) for answers in values])
    return _split(means, within)


def metric_split(
    name: str,
    values: Sequence[float],
    right: Sequence[Sequence[bool]],
    answers: Sequence[Sequence[str | None]],
) -> VarianceSplit | None:
    """`variance_split` for a metric of a run: `pass@k`, `maj@k`, or a mean over answers.

    The sampling variance of pass@k and maj@k is that of answers drawn with replacement (the bootstrap): exact
    for pass@k, from `_VOTES` votes for maj@k. None if documents have a single answer, or if the metric is not
    computed from these verdicts.

    Args:
        name: the metric.
        values: the metric's value of each document.
        right: verdicts on the answers of each document.
        answers: the extracted answers of each document; None has no vote.
    """
    if len(values) < 2 or any(len(verdicts) < 2 for verdicts in right):
        return None
    kind, _, k = name.partition("@")
    if kind == "maj":
        draw = random.Random(0)
        return _split(
            values, [_vote_variance(*pair, int(k), draw) for pair in zip(answers, right, strict=True)]
        )
    if kind == "pass" and int(k) > 1:
        return _split(values, [_pass_variance(sum(verdicts), len(verdicts), int(k)) for verdicts in right])
    means = [sum(verdicts) / len(verdicts) for verdicts in right]
    is_mean = all(math.isclose(value, mean) for value, mean in zip(values, means, strict=True))
    return variance_split(right) if is_mean else None


def _split(values: "Sequence[float] | np.ndarray", within: "Sequence[float] | np.ndarray") -> VarianceSplit:
    """The split from the documents' values and the sampling variance of each."""
    import numpy as np

    total = float(np.var(values, ddof=1)) / len(values)
    sampling = float(np.mean(within)) / len(values)
    return VarianceSplit(math.sqrt(total), math.sqrt(max(0.0, total - sampling)), math.sqrt(sampling))


@cache
def _pass_variance(correct: int, answers: int, k: int) -> float:
    """Variance of pass@k over as many answers, each correct with probability correct / answers."""
    import numpy as np
    from scipy.stats import binom

    chances = binom.pmf(range(answers + 1), answers, correct / answers)
    values = np.array([pass_at_k(again, answers, k) for again in range(answers + 1)])
    return float(chances @ values**2 - (chances @ values) ** 2)


def _vote_variance(
    answers: Sequence[str | None], right: Sequence[bool], k: int, draw: random.Random
) -> float:
    """Variance of the verdict on a vote of k answers, which are drawn with replacement."""
    if len(set(right)) == 1:
        return 0.0
    hits = 0
    for _ in range(_VOTES):
        drawn = draw.choices(range(len(answers)), k=k)
        winner = majority([answers[index] for index in drawn])
        hits += winner is not None and right[drawn[winner]]
    return hits / _VOTES * (1 - hits / _VOTES)


def pass_at_k_estimate(
    correct: Sequence[int], answers: Sequence[int], k: int, clusters: Sequence[Hashable] | None = None
) -> Estimate:
    """Mean pass@k over documents; its standard error covers documents and answers."""
    known = {pair: pass_at_k(*pair, k) for pair in set(zip(correct, answers, strict=True))}
    return mean_estimate([known[pair] for pair in zip(correct, answers, strict=True)], clusters)


def majority_at_k(answers: Sequence[Hashable | None], right: Sequence[bool], k: int, seed: int = 0) -> float:
    """Probability that the majority of k answers, drawn without replacement, is right (Wang et al. 2022).

    Answers tied for most votes share the vote. None, an answer that could not be extracted, has no vote; a
    vote of Nones alone is wrong. Exact over all subsets if these are few, else over random ones.

    Args:
        answers: extracted answers of one document; equal answers vote together.
        right: verdict on each answer.
        k: number of voters.
        seed: seed of the random subsets.
    """
    import numpy as np

    n = len(answers)
    if not 1 <= k <= n:
        raise ValueError(f"maj@{k} needs {k} answers; there are {n}")
    good = {answer: verdict for answer, verdict in zip(answers, right, strict=True) if answer is not None}
    if math.comb(n, k) <= _MOST_SUBSETS:
        subsets: Sequence[Sequence[int]] = list(combinations(range(n), k))
    else:
        draw = np.random.default_rng(seed)
        subsets = np.argsort(draw.random((_MOST_SUBSETS, n)), axis=1)[:, :k].tolist()
    return math.fsum(_vote([answers[index] for index in subset], good) for subset in subsets) / len(subsets)


def majority_at_k_estimate(
    answers: Sequence[Sequence[Hashable | None]], right: Sequence[Sequence[bool]], k: int, seed: int = 0
) -> Estimate:
    """Mean maj@k over documents with a bootstrap interval over documents, since votes have no formula."""
    values = [majority_at_k(own, verdicts, k, seed) for own, verdicts in zip(answers, right, strict=True)]
    plain = mean_estimate(values)
    if plain.stderr is None or all(value in (0, 1) for value in values):
        return plain
    low, high = bootstrap_interval(values, seed=seed)
    return Estimate(plain.value, plain.stderr, low, high, plain.n)


def _vote(voters: Sequence[Hashable | None], good: dict[Hashable, bool]) -> float:
    votes = Counter(voter for voter in voters if voter is not None)
    if not votes:
        return 0.0
    most = max(votes.values())
    winners = [answer for answer, count in votes.items() if count == most]
    return sum(good[answer] for answer in winners) / len(winners)
