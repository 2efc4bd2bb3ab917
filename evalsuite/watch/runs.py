"""The folder of a series' runs, which is all of its state: one run folder per checkpoint."""

from pathlib import Path

from evalsuite.errors import StorageError
from evalsuite.results.read import RunSide, open_run
from evalsuite.results.runlog import RunLog, read_run
from evalsuite.stats.metrics import lower_is_better

GATE = "gate.json"


class SeriesFolder:
    """The runs of a series by checkpoint name.

    Args:
        path: the folder.
        addresses: the tasks of the series.
    """

    def __init__(self, path: Path, addresses: tuple[str, ...]) -> None:
        self.path = path
        self._addresses = set(addresses)
        self._done: set[str] = set()

    def run(self, name: str) -> Path:
        """The run folder of a checkpoint."""
        return self.path / name

    def is_done(self, name: str) -> bool:
        """Whether a run has scored all tasks of the series on a checkpoint."""
        log = None if name in self._done else self.log(name)
        if log and log.status in ("complete", "shard") and self._addresses <= set(log.spec.tasks):
            self._done.add(name)
        return name in self._done

    def finished(self) -> list[RunSide]:
        """The finished runs, by name; folders that hold none are left out."""
        names = sorted(path.name for path in self.path.glob("*") if (path / "run.json").is_file())
        return [open_run(self.run(name)) for name in names if self.is_done(name) and not self._is_shard(name)]

    def _is_shard(self, name: str) -> bool:
        log = self.log(name)
        return log is None or log.shard is not None

    def log(self, name: str) -> RunLog | None:
        """The run log of a checkpoint; None if there is none that can be read."""
        try:
            return read_run(self.run(name)) if (self.run(name) / "run.json").is_file() else None
        except StorageError:
            return None


def mean_score(log: RunLog) -> float:
    """The unweighted mean of the tasks' headline scores, higher being better, for `--baseline best`."""
    scores = [(task.headline, task.metrics[task.headline].value) for task in log.tasks if task.metrics]
    values = [-value if lower_is_better(name) else value for name, value in scores]
    return sum(values) / len(values) if values else float("-inf")
