"""Repeated sampling: several generated answers to each document.

Public names: `VarianceSplit`, `variance_split`, `metric_split`, `pass_at_k`, `pass_at_k_estimate`,
`majority_at_k`, `majority_at_k_estimate`.

The documents are the sampled unit throughout: more answers to a document make its own value surer and never
the number of documents larger.
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
"""Votes drawn for each document: their noise averages out over documents."""
_MOST_SUBSETS = 5_000
"""Up to here every subset of answers is voted on, above it that many drawn ones."""


@dataclass(frozen=True, slots=True)
class VarianceSplit:
    """Where the standard error of a mean over documents and answers comes from."""

    stderr: float
    """Of the score, for another set of documents and other answers."""
    problems: float
    """The part that more answers would not take away."""
    sampling: float
    """The part that is another seed's: what a re-run on the same documents would show."""


def variance_split(values: Sequence[Sequence[float]]) -> VarianceSplit:
    """Split the error of the mean of `values[document][answer]` by the law of total variance.

    Miller 2024 (arXiv:2411.00640, section 3.1): Var = (Var of document means + mean within-document
    variance / answers) / documents. The within part is unbiased (n - 1); the problem part, a difference, is
    cut at 0. Raises ValueError where a document has fewer than two answers: nothing tells them apart then.
    """
    import numpy as np

    if len(values) < 2 or any(len(answers) < 2 for answers in values):
        raise ValueError("a split needs two documents and two answers to each")
    means = np.array([math.fsum(answers) / len(answers) for answers in values])
    within = np.array([np.var(answers, ddof=1) / len(answers) for answers in values])
    return _split(means, within)


def metric_split(
    name: str,
    values: Sequence[float],
    right: Sequence[Sequence[bool]],
    answers: Sequence[Sequence[str | None]],
) -> VarianceSplit | None:
    """The same for a metric of a run: `pass@k`, `maj@k`, or a mean over answers.

    What another seed would change of pass@k and maj@k is taken from answers that are drawn from the given
    ones with
    replacement (the bootstrap): exactly for pass@k, from `_VOTES` votes for maj@k. None where documents
    have a single answer, or where the metric is not made of these verdicts.

    Args:
        name: the metric.
        values: of each document.
        right: verdict on each answer of each document.
        answers: the extracted answers; None has no vote.
    """
    if len(values) < 2 or any(len(one) < 2 for one in right):
        return None
    kind, _, k = name.partition("@")
    if kind == "maj":
        draw = random.Random(0)
        return _split(
            values, [_vote_variance(*one, int(k), draw) for one in zip(answers, right, strict=True)]
        )
    if kind == "pass" and int(k) > 1:
        return _split(values, [_pass_variance(sum(one), len(one), int(k)) for one in right])
    made_of = all(math.isclose(value, sum(one) / len(one)) for value, one in zip(values, right, strict=True))
    return variance_split(right) if made_of else None


def _split(values: "Sequence[float] | np.ndarray", within: "Sequence[float] | np.ndarray") -> VarianceSplit:
    """From the documents' values and the variance that another seed gives each."""
    import numpy as np

    total = float(np.var(values, ddof=1)) / len(values)
    sampling = float(np.mean(within)) / len(values)
    return VarianceSplit(math.sqrt(total), math.sqrt(max(0.0, total - sampling)), math.sqrt(sampling))


@cache
def _pass_variance(correct: int, answers: int, k: int) -> float:
    """Of the pass@k of as many answers, each right with chance correct / answers."""
    import numpy as np
    from scipy.stats import binom

    chances = binom.pmf(range(answers + 1), answers, correct / answers)
    values = np.array([pass_at_k(again, answers, k) for again in range(answers + 1)])
    return float(chances @ values**2 - (chances @ values) ** 2)


def _vote_variance(
    answers: Sequence[str | None], right: Sequence[bool], k: int, draw: random.Random
) -> float:
    """Of the verdict on the vote of k answers that are drawn from the given ones."""
    if len(set(right)) == 1:
        return 0.0
    hits = 0
    for _ in range(_VOTES):
        places = draw.choices(range(len(answers)), k=k)
        winner = majority([answers[place] for place in places])
        hits += winner is not None and right[places[winner]]
    return hits / _VOTES * (1 - hits / _VOTES)


def pass_at_k_estimate(
    correct: Sequence[int], answers: Sequence[int], k: int, clusters: Sequence[Hashable] | None = None
) -> Estimate:
    """Mean pass@k over documents; its standard error covers documents and answers alike."""
    known = {pair: pass_at_k(*pair, k) for pair in set(zip(correct, answers, strict=True))}
    return mean_estimate([known[pair] for pair in zip(correct, answers, strict=True)], clusters)


def majority_at_k(answers: Sequence[Hashable | None], right: Sequence[bool], k: int, seed: int = 0) -> float:
    """Chance that the most frequent of k answers, drawn without replacement, is right (Wang et al. 2022).

    Answers tied for most votes share them; None, an answer that could not be extracted, has no vote and a
    vote of Nones alone is wrong. Exact over all subsets where these are few, else over drawn ones.

    Args:
        answers: extracted answers of one document; equal answers vote together.
        right: verdict on each.
        k: voters.
        seed: of the drawn subsets.
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
    return math.fsum(_vote([answers[place] for place in subset], good) for subset in subsets) / len(subsets)


def majority_at_k_estimate(
    answers: Sequence[Sequence[Hashable | None]], right: Sequence[Sequence[bool]], k: int, seed: int = 0
) -> Estimate:
    """Mean maj@k over documents with a bootstrap interval over documents: votes have no formula."""
    values = [majority_at_k(given, verdicts, k, seed) for given, verdicts in zip(answers, right, strict=True)]
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
