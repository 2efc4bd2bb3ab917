"""Looks at a folder of checkpoints, evaluates each complete one once, and keeps the series' pages current."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from evalsuite import api
from evalsuite.decisions.gate.document import EXIT_CODES, Outcome
from evalsuite.decisions.trend.trend import trend
from evalsuite.errors import UserError
from evalsuite.progress import Progress
from evalsuite.registry.addresses import split_addresses
from evalsuite.registry.registry import Registry
from evalsuite.results.folder import disk_errors
from evalsuite.results.runlog import RunLog
from evalsuite.results.steps import step_in
from evalsuite.runs.kept import Kept
from evalsuite.runs.options import RunOptions
from evalsuite.watch.complete import Completeness, Readiness, Signature, signature_of
from evalsuite.watch.curves import write_trend
from evalsuite.watch.exports import export_fault
from evalsuite.watch.found import Found, found_in, ordered
from evalsuite.watch.gating import gated, run_on_fail, verdict_of
from evalsuite.watch.options import WatchOptions
from evalsuite.watch.runs import SeriesFolder
from evalsuite.watch.tracking import Tracking
from evalsuite.watch.warnings import CheckpointProgress

Say = Callable[[str], None]


def watch_checkpoints(
    folder: str | Path,
    tasks: str | Sequence[str],
    out: str | Path,
    *,
    options: RunOptions | None = None,
    watching: WatchOptions | None = None,
    say: Say = print,
    progress: Progress | None = None,
) -> int:
    """Evaluate each complete checkpoint in a folder once, into `out/<name>`.

    The run folders are the state: a watch that was ended at any moment continues when it is started again.

    Args:
        folder: the checkpoints, each an entry of this folder; more may appear.
        tasks: as for `evalsuite.run`.
        out: folder of the run folders, `trend.json` and `trend.html`.
        options: of each run; `out` is set by the watch.
        watching: which checkpoints, when, and what happens after each.
        say: is told what happens, a sentence at a time.
        progress: of the run in progress.

    Returns:
        With `once`, the exit code: 0 if every complete checkpoint was scored and passed its gate, 1 if one
        failed, 2 if a gate was inconclusive. Without `once` it does not return.

    Raises:
        UserError: the folder, a task, an option or the policy is wrong.
    """
    watching = watching or WatchOptions()
    found = found_in(Path(folder), watching)  # a folder that is not there is said before anything is written
    series = _Series(tasks, Path(out), options or RunOptions(), watching, say, progress, Path(folder))
    judge = Completeness(
        watching.done_file, watching.settle, model_config=options.model_config if options else None
    )
    series.catch_up(found)
    while True:
        found = found_in(Path(folder), watching)
        settling = series.look(found, judge)
        if ready := series.next_of(found, judge):
            series.evaluate(ready)
        elif watching.once and not settling:
            series.track()
            return series.exit_code(found)
        else:
            time.sleep(min(watching.poll, watching.settle) if settling else watching.poll)


def sweep_models(
    models: Sequence[str],
    tasks: str | Sequence[str],
    out: str | Path,
    *,
    options: RunOptions | None = None,
    watching: WatchOptions | None = None,
    say: Say = print,
    progress: Progress | None = None,
) -> int:
    """Evaluate a list of models or hub revisions once each; arguments as in `watch_checkpoints`."""
    watching = replace(watching or WatchOptions(), once=True)
    series = _Series(tasks, Path(out), options or RunOptions(), watching, say, progress, Path(out))
    named = [Found(folder_name(model), Path(model), step_in(model), model) for model in models]
    if len({each.name for each in named}) < len(named):
        raise UserError("Two of the models would have the same run folder; give different models.")
    series.catch_up(named)
    for each in ordered(named, newest_first=watching.order == "newest"):
        if not series.is_done(each):
            series.evaluate(each)
    series.track()
    return series.exit_code(named)


def folder_name(model: str) -> str:
    """The name of a model's run folder in a sweep: its path or hub id as a single name."""
    return "".join(sign if sign.isalnum() or sign in "-_.@" else "-" for sign in model).strip("-.")


class _Series:
    """The checkpoints that one command evaluates, and what it knows of each."""

    def __init__(
        self,
        tasks: str | Sequence[str],
        out: Path,
        options: RunOptions,
        watching: WatchOptions,
        say: Say,
        progress: Progress | None,
        source: Path,
    ) -> None:
        self._tasks = tasks
        self._options = options
        self._watching = watching
        self._say = say
        self._progress = progress
        self._kept = Kept()
        self._failed: dict[str, Signature | None] = {}
        """Checkpoints that could not be evaluated, as they were then: tried again when they change."""
        self._told: dict[str, str] = {}
        """The last sentence about each checkpoint that is not complete."""
        self._warned: set[tuple[str, str]] = set()
        """Checkpoints with the warnings that were said of them."""
        self._unjudged: set[str] = set()
        self._seen: dict[str, Found] = {}
        selected = Registry.load([Path(path) for path in options.include]).select(
            split_addresses(tasks if isinstance(tasks, str) else list(tasks)), options.recipe, options.shots
        )
        if watching.policy:
            from evalsuite.decisions.gate.policy import read_policy

            read_policy(watching.policy)  # a wrong policy is said before hours are spent
        if watching.junit:
            from evalsuite.decisions.gate.junit import check_junit

            check_junit()
        self._folder = SeriesFolder(out, tuple(each.address for each in selected))
        self._tracking = Tracking(self._folder, watching, source)
        with disk_errors(out):
            out.mkdir(parents=True, exist_ok=True)

    def is_done(self, found: Found) -> bool:
        """Whether the checkpoint's run is finished."""
        return self._folder.is_done(self._run_name(found))

    def look(self, found: Sequence[Found], judge: Completeness) -> bool:
        """Say what is not complete and what has vanished; whether a checkpoint is settling."""
        settling = False
        for each in found:
            if self.is_done(each) or each.name in self._failed:
                continue
            readiness, reason = judge.of(each.path)
            settling = settling or readiness is Readiness.SETTLING
            if readiness is Readiness.INCOMPLETE and self._told.get(each.name) != reason:
                self._told[each.name] = reason
                self._say(f"{each.name} is not complete: {reason}")
        for name in self._seen.keys() - {each.name for each in found}:
            if not self.is_done(self._seen.pop(name)):
                self._say(f"{name} has vanished before it was evaluated")
        self._seen.update((each.name, each) for each in found)
        return settling

    def next_of(self, found: Sequence[Found], judge: Completeness) -> Found | None:
        """The next complete checkpoint without a run."""
        for each in found:
            if self.is_done(each) or self._failed.get(each.name, ()) == signature_of(each.path):
                continue
            if judge.of(each.path)[0] is Readiness.COMPLETE:
                return each
        return None

    def evaluate(self, found: Found) -> None:
        """Evaluate a checkpoint, judge it, and renew the trend; what fails is said and holds nobody up."""
        before = signature_of(found.path)
        run = self._folder.run(self._run_name(found))
        progress = CheckpointProgress(self._progress, partial(self._warn, found))
        began = time.monotonic()
        try:
            log = api.run_in_a_series(
                self._tasks, found.model, replace(self._options, out=run), progress, self._kept
            )
        except UserError as error:
            gone = found.name in self._seen and not found.path.exists()
            self._fail(found, before, "it vanished while it was evaluated" if gone else str(error))
            return
        problems = [f"{task.name}: {task.problem}" for task in log.tasks if task.problem]
        if problems:
            self._fail(found, before, "; ".join(problems))
            return
        self._failed.pop(found.name, None)
        scores = ", ".join(
            f"{task.name} {task.metrics[task.headline].value:.4g}"
            for task in log.tasks
            if task.headline in task.metrics
        )
        self._say(f"{found.name}: {scores or log.status} ({time.monotonic() - began:.0f} s, {run})")
        if log.shard is None:
            self._follow_up(found, log)

    def _fail(self, found: Found, state: Signature | None, reason: str) -> None:
        self._failed[found.name] = state
        self._say(f"{found.name} was not evaluated: {reason}")

    def _warn(self, found: Found, sentence: str) -> None:
        """Say a warning at the first time: a failed smoke test is known before the tasks and after them."""
        if (found.name, sentence) not in self._warned:
            self._warned.add((found.name, sentence))
            self._say(f"{found.name}: {sentence}")

    def track(self) -> None:
        """Send the trackers what they lack; one that is down is named and holds nobody up."""
        for problem in self._tracking.send():
            self._say(problem)

    def catch_up(self, found: Sequence[Found]) -> None:
        """Judge finished runs that have no verdict yet: an earlier watch was ended before it judged them."""
        if self._watching.gates and not self._options.shard:
            for each in found:
                if self.is_done(each) and self._judge(each) == "FAIL":
                    self._run_on_fail(each)

    def _follow_up(self, found: Found, log: RunLog) -> None:
        self._renew_trend()
        self.track()
        fault = export_fault(self._folder, self._run_name(found), log)
        if fault:
            self._warn(found, fault)
        if self._judge(found) == "FAIL" or fault:
            self._run_on_fail(found)

    def _renew_trend(self) -> None:
        finished = self._folder.finished()
        try:
            if len(finished) > 1:
                write_trend(
                    trend(*(side.folder for side in finished), seeds=self._watching.seeds), self._folder.path
                )
        except UserError as error:
            self._say(f"trend.json and trend.html were not renewed: {error}")

    def _judge(self, found: Found) -> Outcome | None:
        """The verdict on a checkpoint that had none; None if there is no verdict or it is an old one."""
        try:
            report = gated(self._folder, self._run_name(found), self._watching)
        except UserError as error:
            self._unjudged.add(found.name)
            self._say(f"{found.name} was not judged: {error}")
            return None
        if report is None:
            return None
        self._say(f"{found.name}: {report.outcome} against {report.baseline.label}: {report.reason}")
        return report.outcome

    def _run_on_fail(self, found: Found) -> None:
        if self._watching.on_fail:
            run = self._folder.run(self._run_name(found))
            sentence = run_on_fail(self._watching.on_fail, run, found.path)
            self._say(sentence) if sentence else None

    def exit_code(self, found: Sequence[Found]) -> int:
        """0 if all was scored and passed, 1 if anything failed, 2 if a gate gave no verdict."""
        if self._failed:
            return 1
        codes = {
            report.exit_code
            for each in found
            if (report := verdict_of(self._folder, self._run_name(each))) is not None
        }
        codes |= {EXIT_CODES["INCONCLUSIVE"]} if self._unjudged else set()
        if self._options.smoke and any(self._is_faulty(self._run_name(each)) for each in found):
            return 1
        return 1 if 1 in codes else max(codes, default=0)

    def _is_faulty(self, name: str) -> bool:
        log = self._folder.log(name) if self._folder.is_done(name) else None
        return log is not None and bool(export_fault(self._folder, name, log))

    def _run_name(self, found: Found) -> str:
        shard = self._options.shard
        return f"{found.name}-shard-{shard.replace('/', '-of-')}" if shard else found.name
