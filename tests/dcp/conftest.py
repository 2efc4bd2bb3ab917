"""A cache of its own for every test, and what a checkpoint is read as."""

from tests.checkpoints.conftest import fresh_probe, own_cache

__all__ = ["fresh_probe", "own_cache"]
