"""Weights & Biases: a training is a run of a fixed id that is resumed; its x axis is a metric of its own.

wandb's own step only grows. A metric that `define_metric` names as the x axis has no such rule, so that
points are added in any order.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from evalsuite.report.trackers.content import scores, settings
from evalsuite.report.trackers.tracker import CurvePoint, Tracker
from evalsuite.results.runlog import RunLog
from evalsuite.types import sha256_of

STEP = "training_step"


class WandbCurve:
    """A run of a fixed id."""

    def __init__(self, wandb: Any, run: Any) -> None:
        self._run = run
        self._steps = _steps_of(wandb, run)

    def known(self, point: CurvePoint) -> frozenset[str]:
        """A row is sent as a whole: all scores, or none; none where wandb works offline and cannot tell."""
        return frozenset(point.scores) & self._steps.get(point.step, frozenset())

    def add(self, point: CurvePoint) -> None:
        """Queue a row; wandb has sent all rows when the run is finished."""
        self._run.log({STEP: point.step, **point.scores})


def _steps_of(wandb: Any, run: Any) -> dict[int, frozenset[str]]:
    """Names of the scores that the server has, by training step."""
    if getattr(run, "offline", False) or not getattr(run, "resumed", False):
        return {}
    found: dict[int, set[str]] = {}
    for row in wandb.Api().run(f"{run.entity}/{run.project}/{run.id}").scan_history():
        if row.get(STEP) is not None:
            names = {name for name, value in row.items() if value is not None}
            found.setdefault(int(row[STEP]), set()).update(names)
    return {step: frozenset(names) for step, names in found.items()}


@contextmanager
def _curve(project: str, name: str, config: Mapping[str, str]) -> Iterator[WandbCurve]:
    wandb = import_module("wandb")
    run_id = f"evalsuite-{sha256_of([project, name])[:16]}"
    with wandb.init(
        project=project,
        name=name,
        id=run_id,
        resume="allow",
        config=dict(config),
        allow_val_change=True,
        settings={"silent": True},
    ) as run:
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP)
        yield WandbCurve(wandb, run)


def _send(log: RunLog, project: str, name: str) -> None:
    wandb = import_module("wandb")

    with wandb.init(project=project, name=name, config=settings(log)) as run:
        run.log(scores(log))


WANDB = Tracker("wandb", "wandb", _send, _curve)
