"""A tiny mirror in the hub's layout."""

from pathlib import Path

import pytest

from tests.data.tiny_mirror import TinyMirror


@pytest.fixture
def mirror(tmp_path: Path) -> TinyMirror:
    return TinyMirror(tmp_path / "mirror")
