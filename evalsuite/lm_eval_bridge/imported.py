"""Converts lm-eval's samples to evalsuite's, with the content keys of an evalsuite run of the task."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalsuite.lm_eval_bridge.protocol import generation_settings, metric_name
from evalsuite.lm_eval_bridge.results_files import TheirSample
from evalsuite.lm_eval_bridge.rows import plain_row, question_from
from evalsuite.lm_eval_bridge.verdicts import with_values
from evalsuite.prompting.spec import PromptSpec
from evalsuite.task import Task
from evalsuite.types import Document, Generated, Generation, Prompt, Question, Response, Row, Sample, Score


def our_row(doc: Any, task: Task, config: Mapping[str, Any]) -> Row | None:
    """The row for our task plug-in; None if the document lacks a part of it."""
    fields = {**plain_row(doc), **({"config": config.get("dataset_name")} if task.data.configs else {})}
    columns = (*task.data.columns, *(("config",) if task.data.configs else ()))
    if not all(column in fields for column in columns):
        return None
    row = {column: fields[column] for column in columns}
    try:
        task.question(row)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError):
        return None
    return row


def our_document(row: Row, index: int, place: int, spec: PromptSpec, task: Task) -> Document:
    """The document that `evalsuite.requests.prepare` makes from the row."""
    member = task.subtask(row) if task.subtask else ""
    subtask = f"{spec.task}_{member}" if member and len(spec.members) != 1 else ""
    cluster = task.cluster(row) if task.cluster else ""
    return Document(index, subtask, place, row, task.question(row), cluster, member)


def their_document(sample: TheirSample, index: int, subtask: str, config: Mapping[str, Any]) -> Document:
    """The document that an evalsuite run of lm-eval's definition makes."""
    return Document(index, subtask, sample.doc_id, plain_row(sample.doc), _question(sample, config))


def _question(sample: TheirSample, config: Mapping[str, Any]) -> Question:
    target = _value(sample.target)
    if config.get("output_type") != "multiple_choice":
        return question_from(None, sample.target)
    delimiter = str(config.get("target_delimiter", " "))
    choices = [str(arguments[1]).removeprefix(delimiter) for arguments in sample.arguments]
    return question_from(choices, target)


def _value(text: str) -> Any:
    """A target from its text: an index, a list of indices, or else the text."""
    return json.loads(text) if re.fullmatch(r"\d{1,6}|\[\d[\d, ]*\]", text) else text


def imported_sample(
    document: Document, sample: TheirSample, spec: PromptSpec, aggregation: Mapping[str, Any], gold: str
) -> Sample:
    """The sample with lm-eval's verdict.

    Args:
        document: the sample's document.
        sample: the sample that lm-eval logged.
        spec: the spec, which names the metrics.
        aggregation: lm-eval's aggregation functions by metric; any other object for an unknown function.
        gold: the gold answer.
    """
    values = {our_metric(metric, name, spec): value for (metric, name), value in sample.values.items()}
    prompt = _prompt(sample)
    extracted = (
        [text if isinstance(text, str) else None for text in sample.filtered] if prompt.generation else []
    )
    bare = Sample(document, prompt, spec.shots.count, "scored", gold=gold, responses=_responses(sample))
    judged = with_values(bare, _normal(values), aggregation, extracted)
    return replace(judged, correct=())


def our_metric(metric: str, filter_name: str, spec: PromptSpec) -> str:
    """evalsuite's name of a metric: from our spec if it has one, else lm-eval's name with the filter."""
    if spec.definition:
        return metric_name(metric, filter_name)
    by_filter = filter_name.replace("-", "_")
    if by_filter in spec.metrics:
        return by_filter
    if metric in spec.metrics:
        return metric
    return "acc" if spec.scorer == "gold" and metric == "exact_match" else metric_name(metric, filter_name)


def _normal(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with booleans as numbers; lists, which JSON makes from pairs, are kept."""
    return {
        name: float(value) if isinstance(value, bool) else value
        for name, value in values.items()
        if value is not None
    }


def _prompt(sample: TheirSample) -> Prompt:
    first = sample.arguments[0]
    if len(first) == 1:
        return Prompt(("",), (str(first[0]),), bos="tokenizer", join="rolling")
    if isinstance(first[1], Mapping):
        return Prompt(
            (str(first[0]),), generation=_generation(first[1], len(sample.resps[0])), bos="tokenizer"
        )
    contexts = tuple(str(arguments[0]) for arguments in sample.arguments)
    same = len(set(contexts)) == 1
    texts = tuple(str(arguments[1]) for arguments in sample.arguments)
    return Prompt(contexts[:1] if same else contexts, texts, bos="tokenizer")


def _generation(arguments: Mapping[str, Any], samples: int) -> Generation:
    return replace(generation_settings(arguments, "The imported task").settings(), samples=samples)


def _responses(sample: TheirSample) -> tuple[Response, ...]:
    """The answers; lm-eval logs no token counts: log-likelihoods get one token each, texts no count."""
    found: list[Response] = []
    for arguments, answers in zip(sample.arguments, sample.resps, strict=True):
        if len(arguments) > 1 and isinstance(arguments[1], Mapping):
            found += [Generated(str(text), 0, "unknown") for text in answers]
        elif len(arguments) == 1:
            found.append(Score((float(answers[0]),), False))
        else:
            log_likelihood, is_greedy = answers[0]
            found.append(Score((float(log_likelihood),), str(is_greedy) == "True"))
    return tuple(found)


def rules(config: Mapping[str, Any]) -> dict[str, Any]:
    """lm-eval's aggregation functions by metric; for a definition's own function, its source text."""
    from lm_eval.api import metrics  # noqa: F401 - fills the registries that are read next
    from lm_eval.api.registry import aggregation_registry, metric_agg_registry

    found: dict[str, Any] = {}
    for entry in config.get("metric_list") or ():
        name, stated = str(entry.get("metric")), entry.get("aggregation")
        if stated is None:
            found[name] = metric_agg_registry.get(name, None) or "unknown"
        else:
            found[name] = aggregation_registry.get(str(stated), None) or stated
    if not config.get("metric_list"):
        for name in metric_agg_registry:
            found[name] = metric_agg_registry.get(name)
    return found


def same_texts(samples: Sequence[Sample], prompts: Mapping[str, Prompt], task: str) -> bool:
    """Whether every sample has the texts in `prompts` for its document's key."""
    return all(
        (found := prompts.get(sample.document.key(task))) is not None
        and (found.contexts, found.continuations) == (sample.prompt.contexts, sample.prompt.continuations)
        for sample in samples
    )
