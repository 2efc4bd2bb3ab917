"""Tests scores of clustered documents by integrating out the correlation within clusters.

Public names: `Clusters`, `clusters_of`, `clustered_tail`.

A cluster-robust error estimates the correlation from the spread of the cluster totals alone. With few correct
(or few wrong) documents that estimate is very uncertain, and it is low just where the score is low. Here the
correlation is integrated out of the test instead, at the tested hypothesis.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from evalsuite.stats.stderr import cluster_totals

if TYPE_CHECKING:
    import numpy as np

_PRIOR = (0.5, 2.0)
"""Beta prior of the correlation of two documents in a cluster: mean 0.2, most of its mass near 0."""
_NODES = 200
_MODEL_EVENTS = 30.0
"""Effective events (about the rarer verdict's count) at which observed and model effect weigh the same."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Counts of clustered 0/1 verdicts that determine the likelihood of their correlation."""

    ones_beyond: "np.ndarray"
    """Number of clusters with more than 0, 1, 2, ... ones."""
    zeros_beyond: "np.ndarray"
    """Number of clusters with more than 0, 1, 2, ... zeros."""
    sizes_beyond: "np.ndarray"
    """Number of clusters with more than 0, 1, 2, ... documents."""
    size: float
    """Mean over documents of the size of their cluster."""

    def design_effects(self, chance: float) -> "tuple[np.ndarray, np.ndarray]":
        """Posterior weights and design effects 1 + (size - 1) correlation, if ones have this `chance`.

        The likelihood is that of Polya's urn, the beta-binomial distribution (Skellam 1948, Journal of the
        Royal Statistical Society B 10:257), the prior is `_PRIOR`.
        """
        import numpy as np

        rho = _correlations()
        pull = (rho / (1 - rho))[:, None] * np.arange(len(self.sizes_beyond))
        likelihood = -np.log1p(pull) @ self.sizes_beyond
        for share, beyond in ((chance, self.ones_beyond), (1 - chance, self.zeros_beyond)):
            likelihood += np.log(max(share, 1e-12) + pull[:, : len(beyond)]) @ beyond
        weights = np.exp(likelihood - likelihood.max())
        return weights / weights.sum(), 1 + (self.size - 1) * rho


def clusters_of(verdicts: "np.ndarray", labels: Sequence[Hashable]) -> Clusters:
    """The clusters of 0/1 verdicts with these labels."""
    ones, sizes = cluster_totals(verdicts, labels)
    correct = ones.astype(int)
    size = max(1.0, float((sizes**2).sum()) / max(1, len(labels)))
    return Clusters(_beyond(correct), _beyond(sizes - correct), _beyond(sizes), size)


def clustered_tail(
    score: float, weights: "np.ndarray", effects: "np.ndarray", observed: float | None, variance: float
) -> float:
    """Probability of a larger score; its variance is 1 for independent documents, else the design effect.

    Since clusters may differ from the model, the effects are scaled by the ratio of observed to model effect,
    with more weight on the observed effect for more events.

    Args:
        score: 0 or more.
        weights: posterior weights of the design effects.
        effects: design effects by the model.
        observed: design effect by the cluster-robust error (`stderr.mean_error`); None if nothing varies.
        variance: variance of the sum over as many independent documents under the hypothesis (the events).
    """
    import numpy as np
    from scipy.special import ndtr

    if observed is not None:
        model = float(weights @ effects)
        events = variance / model
        mixed = (events * observed + _MODEL_EVENTS * model) / (events + _MODEL_EVENTS)
        effects = np.maximum(1.0, effects * mixed / model)
    return float(weights @ ndtr(-score / np.sqrt(effects)))


def _beyond(counts: "np.ndarray") -> "np.ndarray":
    import numpy as np

    return len(counts) - np.bincount(counts).cumsum()[:-1]


@cache
def _correlations() -> "np.ndarray":
    """Quantiles of the prior at equal probabilities."""
    import numpy as np
    from scipy.stats import beta

    quantiles: np.ndarray = beta.ppf((np.arange(_NODES) + 0.5) / _NODES, *_PRIOR)
    return quantiles
