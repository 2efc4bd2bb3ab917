"""What trackers are told of a run."""

from datetime import datetime

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
    found = {
        name + ("" if field == "value" else f"_{field}"): float(value)
        for name, metric in records.items()
        for field in _FIELDS
        if (value := getattr(metric, field)) is not None
    }
    if log.smoke and log.smoke.english is not None and log.smoke.program is not None:
        found["smoke_test/english_bits_per_byte"] = log.smoke.english
        found["smoke_test/program_bits_per_byte"] = log.smoke.program
    return found


def began(log: RunLog) -> float:
    """When the run began, in seconds since 1970."""
    return datetime.fromisoformat(log.started).timestamp()


def settings(log: RunLog) -> dict[str, str]:
    """The settings behind the scores: model, numerics, and each task's address and prompt hash."""
    return {
        "model": log.spec.model,
        "weights_sha256": log.model.weights_sha256,
        "inputs_sha256": log.inputs_sha256,
        "status": log.status,
        **curve_settings(log),
    }


def curve_settings(log: RunLog) -> dict[str, str]:
    """The settings that the checkpoints of a training share."""
    return {
        "numerics": log.model.numerics,
        "evalsuite": log.evalsuite_version,
        "limit": str(log.spec.limit),
        "sample": str(log.spec.sample),
        **{f"{task.name}/address": task.address for task in log.tasks},
        **{f"{task.name}/prompt_sha256": task.prompt_sha256 for task in log.tasks},
        **{f"suites/{suite.name}/sha256": suite.sha256 for suite in log.suites},
    }
