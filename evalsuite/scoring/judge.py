"""From answers to samples: the verdict on each document of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from evalsuite.errors import UserError
from evalsuite.prompting.spec import GENERATED, PromptSpec
from evalsuite.registry.selected import ForeignScoring, PreparedTask
from evalsuite.requests.build import DocumentRequests
from evalsuite.scoring.likelihoods import choice_sample, gold_sample
from evalsuite.scoring.texts import TEXT_SCORERS, text_sample
from evalsuite.scoring.verdict import Options
from evalsuite.types import Document, Failure, Request, Response, Sample, gold_text


class JudgedTask(NamedTuple):
    """A sample for every document, in order, and what a reader of their score must know."""

    samples: list[Sample]
    notes: tuple[str, ...] = ()


def judge(
    prepared: PreparedTask,
    asked: Sequence[DocumentRequests],
    answers: Mapping[Request, Response],
    window: int | None,
    options: Options | None = None,
) -> JudgedTask:
    """The verdicts; only answered documents get one.

    Args:
        prepared: the documents and how they are asked.
        asked: what each asked of the engine.
        answers: what came back.
        window: the model's context window in tokens.
        options: what scorers may do.
    """
    samples = [
        _unscored(document, one, answers, window)
        for document, one in zip(prepared.documents, asked, strict=True)
    ]
    return judge_samples(samples, prepared.selected.spec, options, prepared.foreign)


def judge_samples(
    samples: Sequence[Sample],
    spec: PromptSpec,
    options: Options | None = None,
    foreign: ForeignScoring | None = None,
) -> JudgedTask:
    """The samples that have all their answers (status `scored`) with verdicts, the others as they are.

    `foreign` judges in place of the spec's scorer.
    """
    judged = list(samples)
    places = [place for place, sample in enumerate(samples) if sample.status == "scored"]
    ready = [samples[place] for place in places]
    if foreign is not None:
        verdicts, notes = JudgedTask(foreign.judge(ready) if ready else [])
    else:
        verdicts, notes = _verdicts(ready, spec, options or Options())
    for place, sample in zip(places, verdicts, strict=True):
        judged[place] = sample
    return JudgedTask(judged, notes)


def _verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> JudgedTask:
    if spec.format not in GENERATED:
        one = gold_sample if spec.scorer == "gold" else choice_sample
        return JudgedTask([one(sample, spec) for sample in samples])
    if not samples:
        return JudgedTask([])
    try:
        found, notes = TEXT_SCORERS[spec.scorer](samples, spec, options)
    except UserError as error:  # Nothing can score here (no sandbox): no document is right or wrong for it.
        return JudgedTask([replace(sample, status="failed", reason=str(error)) for sample in samples])
    return JudgedTask([text_sample(*pair, spec) for pair in zip(samples, found, strict=True)], notes)


def _unscored(
    document: Document, asked: DocumentRequests, answers: Mapping[Request, Response], window: int | None
) -> Sample:
    """The sample with its answers, before a verdict."""
    responses = tuple(answers.get(request, Failure("no answer")) for request in asked.requests)
    failures = [answer for answer in responses if isinstance(answer, Failure)]
    status, reason = "scored", ""
    if asked.problem:
        status, reason = "failed", asked.problem
    elif asked.too_long:
        status, reason = "too_long", f"{asked.tokens} tokens; the context window holds {window}"
    elif failures:
        longest = next((failure for failure in failures if failure.too_long), None)
        status, reason = ("too_long", longest.reason) if longest else ("failed", failures[0].reason)
    return Sample(
        document=document,
        prompt=asked.prompt,
        shots=asked.shots,
        status=status,  # type: ignore[arg-type]
        reason=reason,
        gold=gold_text(document),
        responses=responses,
        context_tokens=tuple(len(request.context) for request in asked.requests),
        continuation_tokens=tuple(len(getattr(request, "continuation", ())) for request in asked.requests),
    )
