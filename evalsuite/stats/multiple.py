"""Several tests at once.

Public names: `holm`.
"""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """p adjusted so that the chance of any false finding stays at the level (Holm 1979; statsmodels)."""
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]]
