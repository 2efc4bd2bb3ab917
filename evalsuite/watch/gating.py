"""The gate after each checkpoint: against the best run so far, the previous step, or a run that is given."""

import os
import subprocess
from pathlib import Path

from evalsuite.decisions.gate.document import GateReport
from evalsuite.decisions.gate.gate import gate
from evalsuite.errors import UserError
from evalsuite.files.replace import replace_text
from evalsuite.results.read import RunSide
from evalsuite.results.steps import step_in
from evalsuite.watch.options import BEST, PREVIOUS, WatchOptions
from evalsuite.watch.runs import GATE, SeriesFolder, mean_score


def gated(series: SeriesFolder, name: str, options: WatchOptions) -> GateReport | None:
    """Judge a checkpoint's run, and write `gate.json` (and `gate.xml`) into its folder.

    None if there is no baseline yet, or the run was judged before: then nothing is written.

    Raises:
        UserError: the runs or the policy do not fit together.
    """
    run = series.run(name)
    if not options.gates or (run / GATE).is_file():
        return None
    baseline = _baseline(series, name, options.baseline or PREVIOUS)
    if baseline is None:
        return None
    report = gate(baseline, run, options.policy, seeds=options.seeds, allow_noise=options.allow_noise)
    if options.junit:
        from evalsuite.decisions.gate.junit import write_junit

        write_junit(report, run / "gate.xml")
    replace_text(run / GATE, report.model_dump_json(indent=2) + "\n")
    return report


def verdict_of(series: SeriesFolder, name: str) -> GateReport | None:
    """The verdict that was written for a checkpoint; None if there is none."""
    try:
        return GateReport.model_validate_json((series.run(name) / GATE).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def run_on_fail(command: str, run: Path, checkpoint: Path) -> str:
    """Run the user's command; returns a sentence if it failed, else an empty text."""
    environment = {**os.environ, "EVALSUITE_RUN": str(run), "EVALSUITE_CHECKPOINT": str(checkpoint)}
    done = subprocess.run(command, shell=True, env=environment, check=False)
    return f"--on-fail ended with exit code {done.returncode}" if done.returncode else ""


def _baseline(series: SeriesFolder, name: str, wanted: str) -> Path | None:
    if wanted not in (BEST, PREVIOUS):
        return Path(wanted)
    others = [side for side in series.finished() if side.folder.name != name]
    if wanted == BEST:
        return max(others, key=lambda side: mean_score(side.log)).folder if others else None
    step = step_in(name)
    if step is None:
        raise UserError(f"--baseline previous: the name '{name}' has no training step.")
    earlier = [side for side in others if _step(side) is not None and (_step(side) or 0) < step]
    return max(earlier, key=lambda side: _step(side) or 0).folder if earlier else None


def _step(side: RunSide) -> int | None:
    return step_in(side.folder.name)
