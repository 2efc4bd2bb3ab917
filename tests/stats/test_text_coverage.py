"""How often the 95 % interval of byte-weighted texts holds the truth, by simulation over documents."""

import numpy as np
import pytest
from scipy.stats import t as student

from evalsuite.results.held_out import ENOUGH
from evalsuite.stats.stderr import effective_units, mean_error


def corpora(draw, texts, spread, kind):
    """Lengths and bits per byte of one sample after the other, without end.

    plain: bits per byte do not depend on the length. within: texts differ less than their own parts.
    longer: longer texts are cheaper. skewed: a few texts are very dear.
    """
    while True:
        lengths = 3000 * np.exp(spread * draw.normal(size=texts))
        noise = draw.normal(size=texts)
        values = {
            "plain": 0.9 + 0.15 * noise,
            "within": 0.9 + 0.05 * noise + 8 * draw.normal(size=texts) / np.sqrt(lengths),
            "longer": 0.9 - 0.1 * np.log(lengths / 3000) + 0.15 * noise,
            "skewed": 0.6 + 0.3 * np.exp(0.5 * noise),
        }
        yield lengths, values[kind]


def truth(spread, kind):
    """Expected bits over expected bytes."""
    return {"longer": 0.9 - 0.1 * spread**2, "skewed": 0.6 + 0.3 * np.exp(0.125)}.get(kind, 0.9)


def coverage(texts, spread, kind, samples, seed=0):
    right, effective = truth(spread, kind), []
    held = 0
    for _, (lengths, values) in zip(
        range(samples), corpora(np.random.default_rng(seed), texts, spread, kind), strict=False
    ):
        error = mean_error(values, weights=lengths)
        held += abs(error.value - right) <= student.ppf(0.975, error.dof) * error.stderr
        effective.append(effective_units(lengths))
    return held / samples, float(np.mean(effective))


@pytest.mark.parametrize("kind", ["plain", "within", "longer", "skewed"])
def test_intervals_of_sixty_texts_hold_the_truth(kind):
    held, effective = coverage(60, 0.7, kind, 1500)
    assert effective > ENOUGH
    assert 0.93 <= held <= 0.97


def test_an_interval_of_few_and_unequal_texts_is_too_short_and_is_warned_of():
    held, effective = coverage(10, 1.2, "skewed", 1500)
    assert effective < ENOUGH
    assert held < 0.93


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "within", "longer", "skewed"])
@pytest.mark.parametrize(("texts", "spread"), [(60, 0.7), (300, 0.7), (200, 1.0), (1000, 1.0)])
def test_intervals_from_thirty_effective_texts_on_hold_the_truth(texts, spread, kind):
    held, effective = coverage(texts, spread, kind, 10_000, seed=1)
    assert effective > ENOUGH
    assert 0.93 <= held <= 0.97


if __name__ == "__main__":  # The table in docs/text.md.
    for texts, spread in ((10, 0.7), (30, 0.7), (60, 0.7), (300, 0.7), (60, 1.0), (300, 1.0), (300, 1.2)):
        found = [
            coverage(texts, spread, kind, 2000, seed=2) for kind in ("plain", "within", "longer", "skewed")
        ]
        shown = " | ".join(f"{100 * held:.1f}" for held, _ in found)
        print(f"| {texts} | {spread} | {found[0][1]:.0f} | {shown} |", flush=True)
