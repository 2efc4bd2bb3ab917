"""Verdicts and scores by lm-eval's filters, `process_results` and aggregations."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalsuite.lm_eval_bridge.protocol import metric_name
from evalsuite.lm_eval_bridge.quiet import quiet
from evalsuite.lm_eval_bridge.rows import is_number
from evalsuite.scoring.choice import chosen_answer
from evalsuite.types import Generated, MultipleChoice, Sample, Score

_OF_A_TEXT = ("word_perplexity", "byte_perplexity", "bits_per_byte")
"""Metrics whose value for a document is (log-likelihood, units) in lm-eval."""


@dataclass(frozen=True)
class Scoring:
    """The scoring of a prepared definition (`evalsuite.registry.selected.ForeignScoring`)."""

    tasks: Mapping[str, Any]
    """lm-eval's task objects by name."""
    instances: Mapping[int, list[Any]]
    """lm-eval's requests by index of the document."""
    aggregation: str
    is_group: bool

    def judge(self, samples: Sequence[Sample]) -> list[Sample]:
        """The answered samples with verdicts; failed if lm-eval's code raised."""
        judged: dict[int, Sample] = {}
        for name in self.tasks:
            own = [sample for sample in samples if not self.is_group or sample.document.subtask == name]
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
        except Exception as error:  # A definition can have its own filters.
            return {sample.document.index: _failed(sample, "filters", error) for sample in samples}
        return {sample.document.index: self._judged(task, sample) for sample in samples}

    def _judged(self, task: Any, sample: Sample) -> Sample:
        instances = self.instances[sample.document.index]
        values: dict[str, Any] = {}
        for filter_name in instances[0].filtered_resps:
            answers = [instance.filtered_resps[filter_name] for instance in instances]
            try:
                found = task.process_results(instances[0].doc, answers)
            except Exception as error:  # The definition's code can raise any error.
                return _failed(sample, "process_results", error)
            values |= {metric_name(metric, filter_name): value for metric, value in found.items()}
        return with_values(sample, values, self._aggregator(task), _extracted(sample, instances))

    def _aggregator(self, task: Any) -> Mapping[str, Any]:
        functions: Mapping[str, Any] = task.aggregation()
        return functions

    def corpus_score(self, metric: str, samples: Sequence[Sample]) -> float | None:
        """lm-eval's aggregation unless it is a mean of numbers; for a group, the mean of its tasks."""
        weighted = all(metric in sample.weights for sample in samples)
        if not any(metric in sample.parts for sample in samples) or (weighted and not self.is_group):
            return None
        scores, sizes = [], []
        for name, task in self.tasks.items():
            own = [sample for sample in samples if not self.is_group or sample.document.subtask == name]
            if own:
                aggregate = task.aggregation().get(metric.partition(",")[0])
                scores.append(float(aggregate([sample.parts[metric] for sample in own])))
                sizes.append(len(own) if self.aggregation == "micro" else 1)
        return math.fsum(score * size for score, size in zip(scores, sizes, strict=True)) / sum(sizes)


def with_values(
    sample: Sample,
    values: Mapping[str, Any],
    aggregation: Mapping[str, Any],
    extracted: Sequence[str | None] = (),
) -> Sample:
    """A sample with lm-eval's values.

    Numbers whose score is their mean become metrics. lm-eval's `perplexity` is a log-likelihood, which
    evalsuite stores as its negative. Other values are parts of a score over all documents; for a text's
    perplexities, the document's own value is also stored, in nats per word or byte, whose exponential is the
    perplexity, and its weight in the mean.
    """
    from lm_eval.api.metrics import bits_per_byte, mean, perplexity, weighted_perplexity

    metrics: dict[str, float] = {}
    weights: dict[str, float] = {}
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
            if name == plain_name and rule in (weighted_perplexity, bits_per_byte):
                weights[name] = float(value[1])
        if not (is_number(value) and rule is mean):
            parts[name] = value
    prediction, margin = _choice(sample, metrics)
    return replace(
        sample,
        metrics=metrics,
        weights=weights,
        parts=parts,
        prediction=prediction if prediction is not None else next(iter(extracted), None),
        margin=margin,
        extracted=tuple(extracted),
    )


def _of_a_text(metric: str, log_likelihood: float, units: float) -> float:
    nats = -log_likelihood / units
    return nats / math.log(2) if metric == "bits_per_byte" else nats


def _choice(sample: Sample, metrics: Mapping[str, float]) -> tuple[str | None, float | None]:
    """The chosen index and its margin, by the first metric that scores a choice."""
    question = sample.document.question
    scores = [one for one in sample.responses if isinstance(one, Score)]
    if not isinstance(question, MultipleChoice) or len(scores) < len(question.choices):
        return None, None
    if not all(question.choices):
        return None, None
    verdict = chosen_answer(question, question.choices, scores[: len(question.choices)])
    headline = next((name for name in metrics if name in verdict.predictions), "acc")
    return str(verdict.prediction(headline)), verdict.margin(headline)


def _answers(sample: Sample) -> list[list[Any]]:
    """lm-eval's `resps` of each of the document's requests."""
    texts = [response.text for response in sample.responses if isinstance(response, Generated)]
    if texts:
        return [texts]
    scores = [response for response in sample.responses if isinstance(response, Score)]
    if sample.prompt.join == "rolling":
        return [[math.fsum(score.log_likelihood for score in scores)]]
    return [[(score.log_likelihood, score.is_greedy)] for score in scores]


def _extracted(sample: Sample, instances: Sequence[Any]) -> list[str | None]:
    """The first filter's result for each generated text; None if it is not a text."""
    if sample.prompt.generation is None:
        return []
    first = next(iter(instances[0].filtered_resps.values()))
    found = first if isinstance(first, list) else [first]
    return [text if isinstance(text, str) else None for text in found]


def _failed(sample: Sample, where: str, error: Exception) -> Sample:
    reason = f"lm-eval's {where} raised {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    return replace(sample, status="failed", reason=reason)
