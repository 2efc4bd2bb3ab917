"""Progress on standard error: a live bar on a terminal, otherwise a line every ten seconds."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evalsuite.cli.say import warn
from evalsuite.progress import Progress, Silent, Stage, WorkerState
from evalsuite.visible import visible

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def live_progress(quiet: bool = False, verbose: bool = False) -> Iterator[Progress]:
    """Progress in the form that suits standard error.

    Args:
        quiet: show no progress.
        verbose: send libraries' logs to standard error, too, and print lines in place of a bar that the logs
            would break up.
    """
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    if quiet:
        yield Silent()
        return
    if verbose or not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from evalsuite.cli.console import console

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f} / {task.total:,.0f} {task.fields[unit]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left", markup=False),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console(to_stderr=True), transient=True) as bars:
        yield _Bar(bars)


class _Bar:
    """A bar for the stage and, if there are several workers, a bar for each worker's share."""

    def __init__(self, bars: "Bars") -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._planned = 1
        self._workers: dict[int, TaskID] = {}

    def stage(self, stage: Stage) -> None:
        for task in (self._task, *self._workers.values()):
            if task is not None:
                self._bars.remove_task(task)
        self._workers.clear()
        self._task = self._bars.add_task(visible(stage.name), total=1, unit=stage.unit)

    def advance(self, count: int, planned: int) -> None:
        self._planned = planned
        if self._task is not None:
            self._bars.update(self._task, advance=count, total=planned)

    def worker(self, state: WorkerState) -> None:
        if state.number not in self._workers:
            self._workers[state.number] = self._bars.add_task("", unit="tokens")
        done = f", {state.answers:,} answers" if state.answers else ""
        self._bars.update(
            self._workers[state.number],
            description=f"  worker {state.number} {state.state}{done}",
            completed=state.tokens,
            total=max(self._planned, 1),
        )

    def warn(self, sentence: str) -> None:
        self._bars.console.print(f"evalsuite: {visible(sentence)}", markup=False, highlight=False)


class _Lines:
    def __init__(self) -> None:
        self._name = self._bound = self._unit = ""
        self._done = 0
        self._started = self._last = 0.0
        self._workers: dict[int, WorkerState] = {}

    def stage(self, stage: Stage) -> None:
        self._name, self._unit, self._done = stage.name, stage.unit, 0
        self._bound = "at most " if stage.at_most else ""
        self._started = self._last = time.monotonic()
        self._say(f"{stage.name} ...")

    def advance(self, count: int, planned: int) -> None:
        self._done += count
        now = time.monotonic()
        if not self._done:
            self._started = self._last = now
            return
        if now - self._last < SECONDS_BETWEEN_LINES and self._done < planned:
            return
        self._last = now
        rate = self._done / max(now - self._started, 1e-9)
        left = (planned - self._done) / rate
        self._say(
            f"{self._name}: {self._done:,} of {self._bound}{planned:,} {self._unit}, {rate:,.0f} a second, "
            f"{self._bound or 'about '}{left:.0f} s left"
        )
        if self._workers:
            answers = (f"{number}: {state.answers:,}" for number, state in sorted(self._workers.items()))
            self._say(f"answers by worker: {', '.join(answers)}")

    def worker(self, state: WorkerState) -> None:
        before = self._workers.get(state.number)
        self._workers[state.number] = state
        if before is None or before.state != state.state:
            at = f" ({state.place})" if state.place else ""
            done = f" after {state.answers:,} answers" if state.answers else ""
            self._say(f"worker {state.number}{at}: {state.state}{done}")

    def warn(self, sentence: str) -> None:
        self._say(sentence)

    def _say(self, text: str) -> None:
        warn(f"evalsuite: {text}")
