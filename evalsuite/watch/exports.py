"""Whether a checkpoint is a wrong export, by its smoke test: alone, and beside that of the step before."""

from evalsuite.results.read import RunSide
from evalsuite.results.runlog import RunLog
from evalsuite.results.smoke import jump_since, smoke_warning
from evalsuite.results.steps import step_in
from evalsuite.watch.runs import SeriesFolder


def export_fault(series: SeriesFolder, name: str, log: RunLog) -> str:
    """One sentence if a checkpoint failed its smoke test, or fell far behind the step before; else empty."""
    if log.smoke is None:
        return ""
    if log.smoke.passed is False:
        return smoke_warning(log.smoke)
    before = _step_before(series, name)
    if before is None or not (jump := jump_since(before.log.smoke, log.smoke)):
        return ""
    return f"Since {before.folder.name}, {jump}: the export or the training is damaged."


def _step_before(series: SeriesFolder, name: str) -> RunSide | None:
    """The finished run of the greatest step below that of `name`."""
    step = step_in(name)
    if step is None:
        return None
    stepped = [(step_in(side.folder.name), side) for side in series.finished()]
    earlier = [(found, side) for found, side in stepped if found is not None and found < step]
    return max(earlier, key=lambda pair: pair[0])[1] if earlier else None
