"""Verdicts and scores by lm-eval's own filters, `process_results` and aggregations."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalsuite.lm_eval_bridge.protocol import metric_name
from evalsuite.lm_eval_bridge.quiet import quiet
from evalsuite.lm_eval_bridge.rows import is_number
from evalsuite.scoring.choice import choose
from evalsuite.types import Generated, MultipleChoice, Sample, Score

_OF_A_TEXT = ("word_perplexity", "byte_perplexity", "bits_per_byte")
"""Metrics whose value of one document is (log-likelihood, units) in lm-eval."""


@dataclass(frozen=True)
class Scoring:
    """How a prepared definition is judged (`evalsuite.registry.selected.ForeignScoring`)."""

    tasks: Mapping[str, Any]
    """lm-eval's task objects by name."""
    instances: Mapping[int, list[Any]]
    """lm-eval's requests by index of the document."""
    aggregation: str
    is_group: bool

    def judge(self, samples: Sequence[Sample]) -> list[Sample]:
        """The answered samples with verdicts; failed where lm-eval's own code raised."""
        judged: dict[int, Sample] = {}
        for name in self.tasks:
            own = [one for one in samples if not self.is_group or one.document.subtask == name]
            with quiet():
                judged.update(self._judge_task(self.tasks[name], own) if own else {})
        return [judged[sample.document.index] for sample in samples]

    def _judge_task(self, task: Any, samples: Sequence[Sample]) -> dict[int, Sample]:
        for sample in samples:
            for instance, answers in zip(
                self.instances[sample.document.index], _answers(sample), strict=True
            ):
                repeats = (
                    (instance.repeats or 1) if len(answers) == 1 else 1
                )  # Greedy texts are generated once.
                instance.resps, instance.filtered_resps = answers * repeats, {}
        task._instances = [one for sample in samples for one in self.instances[sample.document.index]]
        try:
            task.apply_filters()
        except Exception as error:  # Boundary: a definition may bring filters of its own.
            return {one.document.index: _failed(one, "filters", error) for one in samples}
        return {one.document.index: self._judged(task, one) for one in samples}

    def _judged(self, task: Any, sample: Sample) -> Sample:
        instances = self.instances[sample.document.index]
        values: dict[str, Any] = {}
        for filter_name in instances[0].filtered_resps:
            answers = [one.filtered_resps[filter_name] for one in instances]
            try:
                found = task.process_results(instances[0].doc, answers)
            except Exception as error:  # Boundary: the definition's own code.
                return _failed(sample, "process_results", error)
            values |= {metric_name(metric, filter_name): value for metric, value in found.items()}
        return with_values(sample, values, self._aggregator(task), _extracted(sample, instances))

    def _aggregator(self, task: Any) -> Mapping[str, Any]:
        return task.aggregation()

    def corpus_score(self, metric: str, samples: Sequence[Sample]) -> float | None:
        """lm-eval's own aggregation where it is not the mean of numbers; of a group, the mean of its tasks'
        scores."""
        if not any(metric in one.parts for one in samples):
            return None
        scores, sizes = [], []
        for name, task in self.tasks.items():
            own = [one for one in samples if not self.is_group or one.document.subtask == name]
            if own:
                aggregate = task.aggregation().get(metric.partition(",")[0])
                scores.append(float(aggregate([one.parts[metric] for one in own])))
                sizes.append(len(own) if self.aggregation == "micro" else 1)
        return math.fsum(score * size for score, size in zip(scores, sizes, strict=True)) / sum(sizes)


def with_values(
    sample: Sample,
    values: Mapping[str, Any],
    aggregation: Mapping[str, Any],
    extracted: Sequence[str | None] = (),
) -> Sample:
    """A sample with what lm-eval found on it.

    Numbers whose score is their mean become metrics. lm-eval's `perplexity` is a log-likelihood, which
    evalsuite keeps as its negative. Other values are parts of a score over all documents; of a text's
    perplexities the document's own is kept beside, in nats per word or byte, of which the perplexity is the
    exponential.
    """
    from lm_eval.api.metrics import mean, perplexity

    metrics: dict[str, float] = {}
    parts: dict[str, Any] = {}
    for name, value in values.items():
        plain_name = name.partition(",")[0]
        rule = aggregation.get(plain_name, mean)
        if is_number(value) and rule is perplexity and plain_name == "perplexity":
            metrics[name] = -float(value)
            continue
        if is_number(value):
            metrics[name] = float(value)
        elif plain_name in _OF_A_TEXT and value[1]:
            metrics[name] = _of_a_text(plain_name, *value)
        if not (is_number(value) and rule is mean):
            parts[name] = value
    prediction, margin = _choice(sample, metrics)
    return replace(
        sample,
        metrics=metrics,
        parts=parts,
        prediction=prediction if prediction is not None else next(iter(extracted), None),
        margin=margin,
        extracted=tuple(extracted),
    )


def _of_a_text(metric: str, log_likelihood: float, units: float) -> float:
    nats = -log_likelihood / units
    return nats / math.log(2) if metric == "bits_per_byte" else nats


def _choice(sample: Sample, metrics: Mapping[str, float]) -> tuple[str | None, float | None]:
    """The chosen index and the lead, by the first metric that judges a choice."""
    question = sample.document.question
    scores = [one for one in sample.responses if isinstance(one, Score)]
    if not isinstance(question, MultipleChoice) or len(scores) < len(question.choices):
        return None, None
    if not all(question.choices):
        return None, None
    verdict = choose(question, question.choices, scores[: len(question.choices)])
    headline = next((name for name in metrics if name in verdict.predictions), "acc")
    return str(verdict.prediction(headline)), verdict.margin(headline)


def _answers(sample: Sample) -> list[list[Any]]:
    """lm-eval's `resps` of each of the document's requests."""
    texts = [one.text for one in sample.responses if isinstance(one, Generated)]
    if texts:
        return [texts]
    scores = [one for one in sample.responses if isinstance(one, Score)]
    if sample.prompt.join == "rolling":
        return [[math.fsum(one.log_likelihood for one in scores)]]
    return [[(one.log_likelihood, one.is_greedy)] for one in scores]


def _extracted(sample: Sample, instances: Sequence[Any]) -> list[str | None]:
    """What the first filter made of each generated text, where that is a text."""
    if sample.prompt.generation is None:
        return []
    first = next(iter(instances[0].filtered_resps.values()))
    found = first if isinstance(first, list) else [first]
    return [one if isinstance(one, str) else None for one in found]


def _failed(sample: Sample, where: str, error: Exception) -> Sample:
    reason = f"lm-eval's {where} raised {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    return replace(sample, status="failed", reason=reason)
