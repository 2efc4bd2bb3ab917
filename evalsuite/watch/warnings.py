"""The progress of a checkpoint's run, whose warnings the watch says itself."""

from collections.abc import Callable

from evalsuite.progress import Progress, Silent, Stage, WorkerState


class CheckpointProgress:
    """Passes reports on; warnings go to the watch, which names the checkpoint and says nothing twice."""

    def __init__(self, progress: Progress | None, warn: Callable[[str], None]) -> None:
        self._progress = progress or Silent()
        self._warn = warn

    def stage(self, stage: Stage) -> None:
        """As for the run's own progress."""
        self._progress.stage(stage)

    def advance(self, count: int, planned: int) -> None:
        """As for the run's own progress."""
        self._progress.advance(count, planned)

    def worker(self, state: WorkerState) -> None:
        """As for the run's own progress."""
        self._progress.worker(state)

    def warn(self, sentence: str) -> None:
        """Tell the watch."""
        self._warn(sentence)
