"""MLflow: a project is an experiment; a training is the run of that name, and its points are found by key."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from evalsuite.report.trackers.content import scores, settings
from evalsuite.report.trackers.tracker import CurvePoint, Tracker
from evalsuite.results.runlog import RunLog

MOST_AT_ONCE = 1000
"""Metrics in one request (`mlflow.utils.validation.MAX_METRICS_PER_BATCH`)."""


class MlflowCurve:
    """A run in an experiment."""

    def __init__(self, client: Any, run_id: str) -> None:
        self._client = client
        self._run_id = run_id

    def known(self, point: CurvePoint) -> frozenset[str]:
        """Asks for the scores in the order in which `add` sends them, up to the first one that is lacking."""
        found: set[str] = set()
        for name in point.scores:
            history = self._client.get_metric_history(self._run_id, plain_key(name))
            if all(metric.step != point.step for metric in history):
                break
            found.add(name)
        return frozenset(found)

    def add(self, point: CurvePoint) -> None:
        """Send the scores in one request, or several beyond 1,000."""
        metric = import_module("mlflow.entities").Metric
        metrics = [
            metric(plain_key(name), value, round(1000 * point.time), point.step)
            for name, value in point.scores.items()
        ]
        for start in range(0, len(metrics), MOST_AT_ONCE):
            self._client.log_batch(self._run_id, metrics=metrics[start : start + MOST_AT_ONCE])


@contextmanager
def _curve(project: str, name: str, config: Mapping[str, str]) -> Iterator[MlflowCurve]:
    client = import_module("mlflow").MlflowClient()
    experiment = client.get_experiment_by_name(project)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(project)
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    found = client.search_runs([experiment_id], f"attributes.run_name = '{quoted}'", max_results=1)
    if found:
        run_id = found[0].info.run_id
    else:
        tags = {plain_key(key): text for key, text in config.items()}
        run_id = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
    yield MlflowCurve(client, run_id)
    client.set_terminated(run_id)  # it stays open to later points


def _send(log: RunLog, project: str, name: str) -> None:
    mlflow = import_module("mlflow")

    mlflow.set_experiment(project)
    with mlflow.start_run(run_name=name):
        mlflow.log_params({plain_key(key): text for key, text in settings(log).items()})
        mlflow.log_metrics({plain_key(key): value for key, value in scores(log).items()})


def plain_key(key: str) -> str:
    """The key without characters that MLflow forbids, such as `@`; it allows letters, digits, `_-.:/`."""
    return re.sub(r"[^\w\-.:/ ]", "-", key)


MLFLOW = Tracker("mlflow", "mlflow", _send, _curve)
