"""Scores the answers of a task: gives a sample with a verdict for each document."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from evalsuite.errors import UserError
from evalsuite.prompting.spec import GENERATED, PromptSpec
from evalsuite.registry.selected import ForeignScoring, PreparedTask
from evalsuite.requests.document import DocumentRequests
from evalsuite.scoring.held_out import held_out_sample
from evalsuite.scoring.likelihoods import choice_sample, gold_sample
from evalsuite.scoring.texts import TEXT_SCORERS, text_sample
from evalsuite.scoring.verdict import Options
from evalsuite.types import Document, Failure, Request, Response, Sample, Status, gold_text


class JudgedTask(NamedTuple):
    """A sample for every document, in order, and notes on their score."""

    samples: list[Sample]
    notes: tuple[str, ...] = ()


def judge(
    prepared: PreparedTask,
    asked: Sequence[DocumentRequests],
    answers: Mapping[Request, Response],
    window: int | None,
    options: Options | None = None,
) -> JudgedTask:
    """Score all documents; only answered ones get a verdict.

    Args:
        prepared: the documents and their prompt spec.
        asked: the requests of each document.
        answers: the engine's answers.
        window: the model's context window in tokens.
        options: options of the scorers.
    """
    samples = [
        _unscored(document, requests, answers, window)
        for document, requests in zip(prepared.documents, asked, strict=True)
    ]
    return judge_samples(samples, prepared.selected.spec, options, prepared.foreign)


_LIKELIHOODS = {"choice": choice_sample, "gold": gold_sample, "text": held_out_sample}
"""Scorers of documents that were answered with log-likelihoods."""


def judge_samples(
    samples: Sequence[Sample],
    spec: PromptSpec,
    options: Options | None = None,
    foreign: ForeignScoring | None = None,
) -> JudgedTask:
    """The samples with verdicts on those that have all answers (status `scored`).

    `foreign` scores in place of the spec's scorer.
    """
    judged = list(samples)
    indices = [index for index, sample in enumerate(samples) if sample.status == "scored"]
    ready = [samples[index] for index in indices]
    if foreign is not None:
        verdicts, notes = JudgedTask(foreign.judge(ready) if ready else [])
    else:
        verdicts, notes = _verdicts(ready, spec, options or Options())
    for index, sample in zip(indices, verdicts, strict=True):
        judged[index] = sample
    return JudgedTask(judged, notes)


def _verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> JudgedTask:
    if spec.format not in GENERATED:
        score = _LIKELIHOODS[spec.scorer]
        return JudgedTask([score(sample, spec) for sample in samples])
    if not samples:
        return JudgedTask([])
    try:
        found, notes = TEXT_SCORERS[spec.scorer](samples, spec, options)
    except UserError as error:  # This machine cannot score the task (no sandbox): no verdict.
        return JudgedTask([replace(sample, status="failed", reason=str(error)) for sample in samples])
    return JudgedTask([text_sample(*pair, spec) for pair in zip(samples, found, strict=True)], notes)


def _unscored(
    document: Document, asked: DocumentRequests, answers: Mapping[Request, Response], window: int | None
) -> Sample:
    """The sample with its answers, not scored yet."""
    responses = tuple(answers.get(request, Failure("no answer")) for request in asked.requests)
    failures = [answer for answer in responses if isinstance(answer, Failure)]
    status: Status = "scored"
    reason = ""
    if asked.problem:
        status, reason = "failed", asked.problem
    elif asked.too_long:
        status, reason = "too_long", f"{asked.tokens} tokens; the context window has {window}"
    elif failures:
        longest = next((failure for failure in failures if failure.too_long), None)
        status, reason = ("too_long", longest.reason) if longest else ("failed", failures[0].reason)
    return Sample(
        document=document,
        prompt=asked.prompt,
        shots=asked.shots,
        status=status,
        reason=reason,
        gold=gold_text(document),
        responses=responses,
        context_tokens=tuple(len(request.context) for request in asked.requests),
        continuation_tokens=tuple(len(getattr(request, "continuation", ())) for request in asked.requests),
        token_bytes=asked.token_bytes,
    )
