"""Sends scores to experiment trackers: Weights & Biases, MLflow, Trackio, TensorBoard.

A run goes to a tracker as a run of its own (`send_to_tracker`), or as a point on the curve of a training
(`send_points`). Each tracker is an extra of the package (`pip install 'evalsuite[wandb]'`). It reads its
server and credentials from its own environment; evalsuite never reads them.
"""

from evalsuite.report.trackers.content import scores, settings
from evalsuite.report.trackers.curves import RunPoint, send_points
from evalsuite.report.trackers.send import TRACKERS, check_tracker, send_to_tracker

__all__ = ["TRACKERS", "RunPoint", "check_tracker", "scores", "send_points", "send_to_tracker", "settings"]
