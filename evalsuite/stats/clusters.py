"""How alike are the documents of a cluster, and how far does a score lie from a hypothesis in that light?

Public names: `Clusters`, `clusters_of`, `clustered_tail`.

A cluster-robust error takes that from the spread of the cluster totals alone. With few right (or few wrong)
documents it is hardly known, and it is low just where the score is. Here the correlation is integrated out of
the test instead, at the hypothesis that is tested.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from evalsuite.stats.stderr import cluster_totals

if TYPE_CHECKING:
    import numpy as np

_PRIOR = (0.5, 2.0)
"""Beta distribution of the correlation of two documents of a cluster: mean 0.2, and most of it near 0."""
_NODES = 200
_MODEL_EVENTS = 30.0
"""Effective events (about the number of the rarer verdict) with which the observed design effect counts as
much as the model's."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """0/1 verdicts in clusters, as far as their correlation is concerned."""

    ones_beyond: "np.ndarray"
    """How many clusters have more than 0, 1, 2, ... ones."""
    zeros_beyond: "np.ndarray"
    sizes_beyond: "np.ndarray"
    """The same of all documents."""
    size: float
    """Mean size of a document's cluster."""

    def design_effects(self, chance: float) -> "tuple[np.ndarray, np.ndarray]":
        """Design effects 1 + (size - 1) correlation, with their posterior chances if ones have this `chance`.

        The likelihood is that of Polya's urn, the beta-binomial distribution (Skellam 1948, Journal of the
        Royal Statistical Society B 10:257), the prior `_PRIOR`.
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
    right = ones.astype(int)
    size = max(1.0, float((sizes**2).sum()) / max(1, len(labels)))
    return Clusters(_beyond(right), _beyond(sizes - right), _beyond(sizes), size)


def clustered_tail(
    score: float, weights: "np.ndarray", effects: "np.ndarray", observed: float | None, variance: float
) -> float:
    """Chance of a larger score, which has variance 1 for independent documents and the design effect for
    clustered.

    So that clusters unlike the model's are not misjudged for ever, the effects are scaled by how much more is
    observed than the model has, the more the more events there are.

    Args:
        score: 0 or more.
        weights: chances of the design effects.
        effects: design effects by the model.
        observed: design effect by the cluster-robust error (`stderr.mean_error`); None where nothing varies.
        variance: of the sum of as many independent documents under the hypothesis: their events.
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
    """Equally likely values of the prior."""
    import numpy as np
    from scipy.stats import beta

    return beta.ppf((np.arange(_NODES) + 0.5) / _NODES, *_PRIOR)
