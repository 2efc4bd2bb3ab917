"""Evaluates the checkpoints of a training as they appear, once each.

Public names: `watch_checkpoints`, `sweep_models`, `WatchOptions`.
"""

from evalsuite.watch.loop import sweep_models, watch_checkpoints
from evalsuite.watch.options import WatchOptions

__all__ = ["WatchOptions", "sweep_models", "watch_checkpoints"]
