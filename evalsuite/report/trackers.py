"""Sends scores of a finished run to experiment trackers: Weights & Biases, MLflow, Trackio.

Each tracker is an extra of the package (`pip install 'evalsuite[wandb]'`). The tracker reads its server and
credentials from its own environment; evalsuite never reads them.

Public names: `LOGGERS`, `send_to_tracker`, `scores`, `settings`.
"""

import re
from collections.abc import Callable
from importlib import import_module

from evalsuite.errors import UnknownName, UserError
from evalsuite.results.runlog import RunLog

_FIELDS = ("value", "stderr", "low", "high", "n")


def scores(log: RunLog) -> dict[str, float]:
    """Scores by `task/metric`, `task/metric_stderr` and so on, without tasks that have no score.

    Means of suites are `suites/<suite>/<mean>`.

    No name is a parent of another at a slash, since MLflow stores names as files in folders.
    """
    records = {f"{task.name}/{name}": metric for task in log.tasks for name, metric in task.metrics.items()}
    records |= {
        f"suites/{suite.name}/{name}": mean.score
        for suite in log.suites
        for name, mean in suite.means.items()
        if mean.score is not None
    }
    return {
        name + ("" if field == "value" else f"_{field}"): float(value)
        for name, metric in records.items()
        for field in _FIELDS
        if (value := getattr(metric, field)) is not None
    }


def settings(log: RunLog) -> dict[str, str]:
    """The settings behind the scores: model, numerics, and each task's address and prompt hash."""
    return {
        "model": log.spec.model,
        "weights_sha256": log.model.weights_sha256,
        "numerics": log.model.numerics,
        "evalsuite": log.evalsuite_version,
        "limit": str(log.spec.limit),
        "sample": str(log.spec.sample),
        "inputs_sha256": log.inputs_sha256,
        "status": log.status,
        **{f"{task.name}/address": task.address for task in log.tasks},
        **{f"{task.name}/prompt_sha256": task.prompt_sha256 for task in log.tasks},
        **{f"suites/{suite.name}/sha256": suite.sha256 for suite in log.suites},
    }


def send_to_tracker(log: RunLog, logger: str, project: str, name: str) -> None:
    """Log a run under a name in a project (MLflow: experiment).

    Raises:
        UserError: the logger is unknown, its package is not installed, or it rejects the run.
    """
    if logger not in LOGGERS:
        raise UnknownName("logger", logger, LOGGERS, f"The loggers are {', '.join(LOGGERS)}.")
    try:
        LOGGERS[logger](log, project, name)
    except ModuleNotFoundError as error:
        if error.name != logger:
            raise
        raise UserError(
            f"The package {logger} is not installed: pip install 'evalsuite[{logger}]'."
        ) from None
    except Exception as error:  # a tracker's error concerns its server or settings, not the run
        raise UserError(f"{logger} rejected the run: {str(error).splitlines()[0]}") from error


def _wandb(log: RunLog, project: str, name: str) -> None:
    wandb = import_module("wandb")

    with wandb.init(project=project, name=name, config=settings(log)) as run:
        run.log(scores(log))


def _mlflow(log: RunLog, project: str, name: str) -> None:
    mlflow = import_module("mlflow")

    mlflow.set_experiment(project)
    with mlflow.start_run(run_name=name):
        mlflow.log_params({_plain(key): text for key, text in settings(log).items()})
        mlflow.log_metrics({_plain(key): value for key, value in scores(log).items()})


def _trackio(log: RunLog, project: str, name: str) -> None:
    trackio = import_module("trackio")

    trackio.init(project=project, name=name, config=settings(log))
    trackio.log(scores(log))
    trackio.finish()


def _plain(key: str) -> str:
    """The key without characters that MLflow forbids, such as `@`; it allows letters, digits, `_-.:/`."""
    return re.sub(r"[^\w\-.:/ ]", "-", key)


LOGGERS: dict[str, Callable[[RunLog, str, str], None]] = {
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}
