"""The formats by name, and the command that writes one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from evalsuite.errors import StorageError, UnknownName
from evalsuite.export.every_eval_ever import every_eval_ever_files
from evalsuite.export.hub import hub_files
from evalsuite.export.lm_eval import lm_eval_files
from evalsuite.export.publisher import Publisher
from evalsuite.export.table import csv_files
from evalsuite.files.replace import replace_text
from evalsuite.results.folder import disk_errors
from evalsuite.results.read import RunSide, open_run
from evalsuite.results.runlog import RunLog


@dataclass(frozen=True)
class Exported:
    """What was written, and what the format has no place for."""

    paths: tuple[Path, ...]
    remarks: tuple[str, ...] = ()


EXPORTERS: Mapping[str, Callable[[RunSide, Publisher], tuple[Mapping[str, str], tuple[str, ...]]]] = {
    "lm-eval": lm_eval_files,
    "hf-eval-results": hub_files,
    "every-eval-ever": every_eval_ever_files,
    "csv": csv_files,
}
"""By format, the function that writes a run as texts by path, with remarks on what is left out."""


def export(
    run: str | Path,
    format: str,
    *,
    out: str | Path | None = None,
    publisher: Publisher | None = None,
) -> Exported:
    """Write a finished run in another tool's format.

    Args:
        run: run folder or `run.json`.
        format: a key of `EXPORTERS`.
        out: folder for the files; `export/<format>` in the run's folder if None.
        publisher: who publishes the results, for the format that asks for it.

    Raises:
        UserError: the format is unknown, the run is unfinished or damaged, a task has no score, or the folder
            cannot be written.
    """
    if format not in EXPORTERS:
        raise UnknownName("format", format, EXPORTERS, f"The formats are {', '.join(EXPORTERS)}.")
    side = open_run(Path(run))
    if not any(task.metrics for task in side.log.tasks):
        raise StorageError(f"{run} has no scores to export.")
    texts, remarks = EXPORTERS[format](side, publisher or Publisher())
    remarks += tuple(_problems(side.log))
    folder = Path(out) if out is not None else side.folder / "export" / format
    with disk_errors(folder):
        return Exported(tuple(_write(folder / name, text) for name, text in texts.items()), remarks)


def _problems(log: RunLog) -> Iterator[str]:
    """What a reader of the files must know of the scores, which most formats have no place for."""
    for task in log.tasks:
        if task.problem:
            yield f"{task.name} {'has a score, but' if task.metrics else 'has no score:'} {task.problem}"
    for suite in log.suites:
        for name, mean in suite.means.items():
            if mean.problem:
                word = "has no value:" if mean.score is None else "has a value, but"
                yield f"{suite.label(name)} {word} {mean.problem}"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, text)
    return path
