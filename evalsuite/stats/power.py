"""Power of a paired comparison: detectable differences, and documents needed.

Public names: `detectable_delta`, `detectable_mean_delta`, `documents_needed`.

All are two-sided, unless the caller doubles `alpha`. *Discordance* is the share of documents that only one of
the two runs answers correctly; for other metrics, the mean squared difference per document.
"""

import math

POWER = 0.8
ALPHA = 0.05


def detectable_delta(n: float, discordance: float, power: float = POWER, alpha: float = ALPHA) -> float:
    """Smallest true difference of 0/1 scores that a paired test of n documents finds with `power`.

    Inverts `documents_needed` (Connor 1987, Biometrics 43:207). A difference cannot exceed the discordance;
    if it must, the discordance grows with it, all in one direction.
    """
    from scipy.optimize import brentq

    def missing(delta: float) -> float:
        return documents_needed(delta, max(discordance, delta), power, alpha) - n

    if missing(1.0) > 0:
        return 1.0
    return float(brentq(missing, 1e-9, 1.0, xtol=1e-9))


def detectable_mean_delta(n: float, deviation: float, power: float = POWER, alpha: float = ALPHA) -> float:
    """`detectable_delta` for other metrics, from the differences' standard deviation (paired t test)."""
    from statsmodels.stats.power import TTestPower

    if n < 3 or deviation == 0:
        return 0.0 if deviation == 0 else math.inf
    effect = TTestPower().solve_power(nobs=n, alpha=alpha, power=power, alternative="two-sided")
    return float(effect) * deviation


def documents_needed(delta: float, discordance: float, power: float = POWER, alpha: float = ALPHA) -> float:
    """Number of documents with which a paired test detects a true `delta` (Connor 1987, eq. 3)."""
    from scipy.stats import norm

    under_null = norm.isf(alpha / 2) * math.sqrt(discordance)
    under_delta = norm.ppf(power) * math.sqrt(max(discordance - delta**2, 0))
    return float(((under_null + under_delta) / delta) ** 2)
