"""pass@k over several generated programs or answers for one document."""


def pass_at_k(correct: int, answers: int, k: int) -> float:
    """Probability that at least one of k answers, drawn without replacement, is correct.

    This is the unbiased estimator 1 - C(n - c, k) / C(n, k) (Chen et al. 2021, arXiv:2107.03374, eq. 1).
    """
    from scipy.stats import hypergeom

    if not 1 <= k <= answers or not 0 <= correct <= answers:
        raise ValueError(f"pass@{k} cannot be computed from {correct} correct of {answers} answers")
    return float(hypergeom.sf(0, answers, correct, k))
