"""The JSON of Every Eval Ever (schema 0.3.0): one document per run, with a result per task and metric,
and per suite and mean.

Source of the format: `eval.schema.json` of the package every-eval-ever 0.3.0, against which a test validates.
"""

import json
import math
from datetime import datetime
from typing import Any

from evalsuite.export.datasets import dataset_of
from evalsuite.export.publisher import Publisher
from evalsuite.registry.registry import Registry
from evalsuite.results.read import RunSide
from evalsuite.results.runlog import MetricRecord, RunLog, SuiteMeanRecord, SuiteRecord, TaskRecord
from evalsuite.stats.intervals import CONFIDENCE
from evalsuite.stats.metrics import lower_is_better

SCHEMA = "0.3.0"


def every_eval_ever_files(side: RunSide, publisher: Publisher) -> tuple[dict[str, str], tuple[str, ...]]:
    """One file for the run."""
    document = _document(side.log, publisher)
    return {"every_eval_ever.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n"}, ()


def _document(log: RunLog, publisher: Publisher) -> dict[str, Any]:
    made = str(int(datetime.fromisoformat(log.started).timestamp()))
    registry = Registry.load()
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"evalsuite/{log.model.id}/{made}",
        "evaluation_timestamp": log.started,
        "retrieved_timestamp": made,
        "source_metadata": _source(publisher),
        "eval_library": {
            "name": "evalsuite",
            "version": log.evalsuite_version,
            "additional_details": {"inputs_sha256": log.inputs_sha256},
        },
        "model_info": _model(log),
        "evaluation_results": [
            _result(task, name, metric, registry)
            for task in log.tasks
            for name, metric in task.metrics.items()
        ]
        + [
            _suite_result(suite, name, mean, mean.score)
            for suite in log.suites
            for name, mean in suite.means.items()
            if mean.score is not None
        ],
    }


def _source(publisher: Publisher) -> dict[str, Any]:
    source = {
        "source_name": "evalsuite",
        "source_type": "evaluation_run",
        "source_organization_name": publisher.organization,
        "evaluator_relationship": publisher.relationship,
    }
    return source | ({"source_organization_url": publisher.url} if publisher.url else {})


def _model(log: RunLog) -> dict[str, Any]:
    return {
        "name": log.spec.model,
        "id": log.model.id,
        "inference_engine": {"name": log.spec.engine, "version": log.evalsuite_version},
        "additional_details": {
            "deployment_type": "self_deployed" if log.spec.engine == "native" else "unknown",
            "model_availability": "unknown",
            "revision": log.model.revision or "",
            "weights_sha256": log.model.weights_sha256,
            "tokenizer_sha256": log.model.tokenizer_sha256,
            "numerics": log.model.numerics,
        },
    }


def _result(task: TaskRecord, name: str, metric: MetricRecord, registry: Registry) -> dict[str, Any]:
    return {
        "evaluation_result_id": f"{task.address}/{name}",
        "evaluation_name": task.name,
        "source_data": _data(task, registry),
        "metric_config": _metric(
            name, {"aggregation": task.aggregation, "headline": str(name == task.headline)}
        ),
        "score_details": _score(metric, task.problem),
        "generation_config": {
            "additional_details": {
                "address": task.address,
                "prompt_sha256": task.prompt_sha256,
                "prompt_version": str(task.prompt_version),
                "comparability": str(task.comparability),
                "shots": str(task.shots),
                "format": task.format,
                "split": task.split,
            }
        },
    }


def _suite_result(
    suite: SuiteRecord, name: str, mean: SuiteMeanRecord, score: MetricRecord
) -> dict[str, Any]:
    return {
        "evaluation_result_id": f"{suite.name} {name}/{mean.metric}",
        "evaluation_name": suite.label(name),
        "source_data": {"dataset_name": suite.name, "source_type": "other"},
        "metric_config": _metric(
            mean.metric,
            {"aggregation": "weighted sum of the tasks' scores", "tasks": str(len(mean.terms))},
            # Where all tasks score 0, the sum is what the baselines take from it.
            lowest=mean.offset if mean.metric == "centred" else 0.0,
        ),
        "score_details": _score(score, mean.problem),
        "generation_config": {
            "additional_details": {
                "address": suite.name,
                "suite_version": str(suite.version),
                "suite_sha256": suite.sha256,
                "terms": json.dumps([term.model_dump() for term in mean.terms]),
            }
        },
    }


def _metric(name: str, details: dict[str, str], lowest: float = 0.0) -> dict[str, Any]:
    lower = lower_is_better(name)
    return {
        "metric_id": name,
        "metric_name": name,
        "metric_unit": "bits" if "bit" in name or name == "bpb" else "proportion",
        "lower_is_better": lower,
        "score_type": "continuous",
        "min_score": lowest,
        "max_score": "Infinity" if lower else 1.0,
        "additional_details": details,
    }


def _score(metric: MetricRecord, problem: str) -> dict[str, Any]:
    found = {"score": metric.value, "uncertainty": _uncertainty(metric)}
    return found | ({"details": {"problem": problem}} if problem else {})


def _data(task: TaskRecord, registry: Registry) -> dict[str, Any]:
    data, split = dataset_of(task, registry), task.data.get(task.split)
    details = {"fingerprint": split.fingerprint, "rows_from": split.source} if split else {}
    if data is None:
        return {"dataset_name": task.task, "source_type": "other", "additional_details": details}
    return {
        "dataset_name": task.task,
        "source_type": "hf_dataset",
        "hf_repo": data.id,
        "hf_split": task.split,
        "samples_number": task.counts.documents,
        "additional_details": details | {"config": ",".join(data.configs) or data.config},
    }


def _uncertainty(metric: MetricRecord) -> dict[str, Any]:
    found: dict[str, Any] = {"num_samples": metric.n}
    if metric.stderr is not None and math.isfinite(metric.stderr):
        found["standard_error"] = {"value": metric.stderr, "method": "analytic"}
    if metric.low is not None and metric.high is not None:
        found["confidence_interval"] = {
            "lower": metric.low,
            "upper": metric.high,
            "confidence_level": CONFIDENCE,
        }
    return found
