"""Evaluates the checkpoints of a training as they appear, once each.

Public names: `watch`, `sweep`, `WatchOptions`.
"""

from evalsuite.watch.loop import sweep, watch
from evalsuite.watch.options import WatchOptions

__all__ = ["WatchOptions", "sweep", "watch"]
