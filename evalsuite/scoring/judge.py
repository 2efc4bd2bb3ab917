"""From answers to samples: the verdict on each document of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evalsuite.ask import Asked
from evalsuite.prepare import PreparedTask, gold_text
from evalsuite.prompting.spec import PromptSpec
from evalsuite.scoring.choice import choose
from evalsuite.scoring.text import exact_match, extract
from evalsuite.scoring.workers import ScorerFailed, call_all
from evalsuite.types import (
    ClozePair,
    Document,
    Failure,
    Generated,
    MultipleChoice,
    OpenAnswer,
    Request,
    Response,
    Sample,
    Score,
)


def judge(
    prepared: PreparedTask, asked: Sequence[Asked], answers: Mapping[Request, Response], window: int | None
) -> list[Sample]:
    """A sample for every document, in order; only answered ones are scored."""
    samples = [
        _unscored(document, one, answers, window)
        for document, one in zip(prepared.documents, asked, strict=True)
    ]
    spec = prepared.selected.spec
    judged = _choices if spec.scorer == "choice" else _texts
    ready = [place for place, sample in enumerate(samples) if sample.status == "scored"]
    for place, sample in zip(ready, judged([samples[place] for place in ready], spec), strict=True):
        samples[place] = sample
    return samples


def _unscored(
    document: Document, asked: Asked, answers: Mapping[Request, Response], window: int | None
) -> Sample:
    """The sample with its answers, before a verdict."""
    responses = tuple(answers.get(request, Failure("no answer")) for request in asked.requests)
    failures = [answer.reason for answer in responses if isinstance(answer, Failure)]
    status, reason = "scored", ""
    if asked.problem:
        status, reason = "failed", asked.problem
    elif asked.too_long:
        status, reason = "too_long", f"{asked.tokens} tokens; the context window holds {window}"
    elif failures:
        status, reason = "failed", failures[0]
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


def _choices(samples: Sequence[Sample], spec: PromptSpec) -> list[Sample]:
    judged = []
    for sample in samples:
        question = sample.document.question
        assert isinstance(question, MultipleChoice | ClozePair)
        texts = [text.removeprefix(spec.delimiter) for text in sample.prompt.continuations]
        verdict = choose(question, texts, [one for one in sample.responses if isinstance(one, Score)])
        headline = spec.metrics[0]
        prediction = verdict.prediction_norm if headline == "acc_norm" else verdict.prediction
        metrics = {metric: verdict.metrics[metric] for metric in spec.metrics}
        judged.append(replace(sample, prediction=str(prediction), metrics=metrics))
    return judged


def _texts(samples: Sequence[Sample], spec: PromptSpec) -> list[Sample]:
    verdicts = _verdicts_by_math_verify if spec.scorer == "math_verify" else _verdicts_by_exact_match
    return [
        _from_texts(sample, found) for sample, found in zip(samples, verdicts(samples, spec), strict=True)
    ]


Found = list[tuple[bool, str | None] | ScorerFailed]
"""Per generated text: right or wrong, and the extracted answer."""


def _from_texts(sample: Sample, found: Found) -> Sample:
    """The mean over a document's samples; a scorer that failed on one leaves the document unscored."""
    failures = [one for one in found if isinstance(one, ScorerFailed)]
    if failures:
        return replace(sample, status="failed", reason=str(failures[0]))
    verdicts = [one for one in found if not isinstance(one, ScorerFailed)]
    share = sum(correct for correct, _ in verdicts) / len(verdicts)
    correct, extracted = zip(*verdicts, strict=True)
    metrics = {"exact_match": share}
    return replace(sample, prediction=extracted[0], metrics=metrics, extracted=extracted, correct=correct)


def _verdicts_by_exact_match(samples: Sequence[Sample], spec: PromptSpec) -> list[Found]:
    found: list[Found] = []
    for sample in samples:
        question = sample.document.question
        gold = question.answers if isinstance(question, OpenAnswer) else _letter(question, spec)
        extracted = [extract(text, spec.extraction) for text in _generated(sample)]
        found.append([(exact_match(answer, gold, spec.ignore), answer) for answer in extracted])
    return found


def _letter(question: MultipleChoice | ClozePair, spec: PromptSpec) -> tuple[str, ...]:
    """The gold form of a listed question that is answered in free text."""
    return (spec.letters[question.answer],)


def _verdicts_by_math_verify(samples: Sequence[Sample], spec: PromptSpec) -> list[Found]:
    calls = [(sample.gold, text) for sample in samples for text in _generated(sample)]
    verdicts = iter(call_all("evalsuite.scoring.math:math_verdict", calls) if calls else [])
    return [[_found(next(verdicts)) for _ in sample.responses] for sample in samples]


def _found(verdict: dict | ScorerFailed) -> tuple[bool, str | None] | ScorerFailed:
    return verdict if isinstance(verdict, ScorerFailed) else (verdict["correct"], verdict["extracted"])


def _generated(sample: Sample) -> list[str]:
    return [answer.text for answer in sample.responses if isinstance(answer, Generated)]
