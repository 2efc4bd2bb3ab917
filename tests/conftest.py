"""Every test runs without a hub and without the user's own settings."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _no_hub() -> Iterator[None]:
    """Offline by declaration, so that no test waits for a network; tests of the hub undo it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.delenv("EVALSUITE_DATA", raising=False)
        yield
