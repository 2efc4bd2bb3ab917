"""A cache of its own for every test, and the configuration folder of each tiny model."""

import pytest

from tests.checkpoints.conftest import own_cache
from tests.megatron.models import KINDS, config_folder

__all__ = ["own_cache"]


@pytest.fixture(scope="session")
def config_folders(tmp_path_factory):
    """Configuration and tokenizer by kind of model."""
    home = tmp_path_factory.mktemp("configurations")
    return {kind: config_folder(kind, home / f"model-{number}") for number, kind in enumerate(KINDS)}
