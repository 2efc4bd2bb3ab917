"""What `watch` and `sweep` are asked for besides the options of each run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Order = Literal["oldest", "newest"]
ORDERS: tuple[Order, ...] = ("oldest", "newest")
BEST, PREVIOUS = "best", "previous"
"""Baselines that each checkpoint's gate finds by itself, beside the path of a run."""


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """Which checkpoints are evaluated, when, and what happens after each."""

    once: bool = False
    """End when every complete checkpoint is evaluated, instead of waiting for more."""
    order: Order = "oldest"
    pattern: str = "*"
    """Shell pattern of the checkpoints' names."""
    every: int = 1
    """Evaluate only steps that are multiples of this number."""
    done_file: str = ""
    """Name of a file that the trainer writes last: in the checkpoint's folder, or beside a single file with
    the checkpoint's name before it."""
    settle: float = 10.0
    """Seconds for which a checkpoint must not have changed, without a `done_file`."""
    poll: float = 10.0
    """Seconds between two looks at the folder."""
    policy: Path | None = None
    """Policy of the gate after each checkpoint; None for no gate, unless `baseline` is given."""
    baseline: str = ""
    """`best`, `previous`, or a run."""
    seeds: tuple[Path, ...] = ()
    """Runs of trainings that differ in their seed alone, for the noise of the gate and of the trend."""
    allow_noise: bool = False
    """Judge even if a margin lies within the noise of two seeds."""
    junit: bool = False
    """Also write each gate as `gate.xml` in the run's folder."""
    on_fail: str = ""
    """A shell command for a checkpoint whose gate says FAIL, or that failed its smoke test."""
    trackers: tuple[str, ...] = ()
    """Experiment trackers that get each checkpoint as a point of one curve."""
    project: str = "evalsuite"
    """The trackers' project or experiment (TensorBoard: log directory)."""
    tracker_run: str = ""
    """The trackers' run that stands for the training; by default the name of the watched folder."""

    @property
    def gates(self) -> bool:
        """Whether each checkpoint is compared with a baseline."""
        return bool(self.policy or self.baseline)
