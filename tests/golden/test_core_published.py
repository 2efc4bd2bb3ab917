"""CORE of 16 published models follows from their accuracies, with both sets of baselines."""

import json

import pytest

from evalsuite.registry.registry import Registry
from evalsuite.stats.combined import Part, combined
from evalsuite.stats.intervals import Estimate
from tests.golden.golden import GOLDEN, needs_golden

pytestmark = needs_golden

PUBLISHED = GOLDEN.parent / "reference" / "core_published.json"


@pytest.mark.parametrize("suite", ["core", "core:500", "core_dclm"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_published_values_follow_from_the_accuracies(suite, version):
    [mean] = [one for one in Registry.load().suites.named(suite).means if one.name == version]
    models = json.loads(PUBLISHED.read_text("utf-8"))["models"]
    assert (len(models), len(mean.terms)) == (16, 22)
    for model in models.values():
        accuracy = model["accuracy"]
        scores = {term: accuracy[term.address.partition("/")[2].partition(":")[0]] for term in mean.terms}
        parts = [
            Part(term.share / (1 - term.baseline), Estimate(score, None, None, None, 1))
            for term, score in scores.items()
        ]
        offset = -sum(term.share * term.baseline / (1 - term.baseline) for term in mean.terms)
        assert combined(parts, offset).value == pytest.approx(model[f"core_{version}"], abs=1e-9)
