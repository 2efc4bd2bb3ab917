"""Finds the reference data that lies beside the checkout, where it does.

`../shared/golden` holds hashes of the reference implementations' prompts and scores, `../shared/data`
the benchmarks in the hub's layout (see the README of each). Neither is part of this repository: tests
that need them carry `needs_golden` or `needs_shared` and are skipped elsewhere. What a package
carries instead is asked with `needs_package`.
"""

from importlib import metadata
from pathlib import Path

import pytest

from evalsuite.errors import UserError
from evalsuite.files.side_packages import side_package
from evalsuite.prompting.spec import PromptSpec
from evalsuite.scoring.texts import refuse_missing_graders

_BESIDE = Path(__file__).resolve().parents[3] / "shared"
GOLDEN = _BESIDE / "golden"
SHARED = _BESIDE / "data"
REFERENCE = _BESIDE / "reference"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data beside the checkout")
needs_golden = pytest.mark.skipif(
    not (GOLDEN.is_dir() and SHARED.is_dir()),
    reason="needs ../shared/golden and ../shared/data beside the checkout",
)


def needs_package(distribution: str) -> pytest.MarkDecorator:
    """Skips where a package is not installed; it is found, not imported."""
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return pytest.mark.skip(reason=f"needs the package {distribution}")
    return pytest.mark.skipif(False, reason="")


def skip_without_side_packages(spec: PromptSpec, grader: bool = True) -> None:
    """Skips the running test where a package that the spec names in one version is not at hand.

    `grader`: whether the test needs the spec's version of math-verify.
    """
    exemplars = spec.shots.exemplars
    try:
        if exemplars and exemplars.version:
            side_package(exemplars.package, exemplars.version, "needs")
        refuse_missing_graders([spec] if grader else [])
    except UserError as missing:
        pytest.skip(str(missing))


def needs_side_package(distribution: str, version: str) -> pytest.MarkDecorator:
    """Skips where a package that cannot be installed beside the others is not at hand in that version."""
    try:
        side_package(distribution, version, "needs")
    except UserError as missing:
        return pytest.mark.skip(reason=str(missing))
    return pytest.mark.skipif(False, reason="")
