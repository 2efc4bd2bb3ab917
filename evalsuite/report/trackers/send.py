"""The trackers by name, and their errors as sentences."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from evalsuite.errors import UnknownName, UserError
from evalsuite.report.trackers.to_mlflow import MLFLOW
from evalsuite.report.trackers.to_tensorboard import TENSORBOARD
from evalsuite.report.trackers.to_trackio import TRACKIO
from evalsuite.report.trackers.to_wandb import WANDB
from evalsuite.report.trackers.tracker import Tracker
from evalsuite.results.runlog import RunLog

TRACKERS: dict[str, Tracker] = {
    "wandb": WANDB,
    "mlflow": MLFLOW,
    "trackio": TRACKIO,
    "tensorboard": TENSORBOARD,
}
"""The trackers by the name that `--log` takes."""


def tracker_called(name: str) -> Tracker:
    """The tracker; raises UnknownName if there is none of this name."""
    if name not in TRACKERS:
        raise UnknownName("tracker", name, TRACKERS, f"The trackers are {', '.join(TRACKERS)}.")
    return TRACKERS[name]


def check_tracker(name: str) -> None:
    """Raises UserError if the tracker is unknown or its package is not installed; contacts nobody."""
    package = tracker_called(name).package
    if find_spec(package) is None:
        raise UserError(_not_installed(name))


def send_to_tracker(log: RunLog, tracker: str, project: str, name: str) -> None:
    """Log a run under a name in a project (MLflow: experiment; TensorBoard: log directory).

    Raises:
        UserError: the tracker is unknown, its package is not installed, or it rejects the run.
    """
    with errors_of(tracker):
        tracker_called(tracker).send_run(log, project, name)


@contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Turns a tracker's errors into a UserError of one sentence."""
    tracker = tracker_called(name)
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != tracker.package:
            raise
        raise UserError(_not_installed(name)) from None
    except UserError:
        raise
    except Exception as error:  # a tracker's error concerns its server or settings, not the run
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"{name} rejected the run: {lines[0]}") from error


def _not_installed(name: str) -> str:
    return f"The package {name} is not installed: pip install 'evalsuite[{tracker_called(name).extra}]'."
