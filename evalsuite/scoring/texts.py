"""Scores generated texts, and computes a document's metrics from their verdicts."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from evalsuite.errors import UserError
from evalsuite.files.side_packages import import_path
from evalsuite.prompting.spec import PromptSpec
from evalsuite.scoring.code import code_verdicts
from evalsuite.scoring.squad import squad_exact_match, squad_f1
from evalsuite.scoring.statement import final_number, number, spelled
from evalsuite.scoring.text import exact_match, extract
from evalsuite.scoring.verdict import Extracted, Options, Scored, TextScorer, TextVerdict, generated_texts
from evalsuite.scoring.workers import ScorerFailed, TextAtFault, call_all
from evalsuite.stats.passk import pass_at_k
from evalsuite.stats.vote import majority
from evalsuite.types import MultipleChoice, OpenAnswer, Sample

NVIDIA_MATH_LIMIT = 120.0
"""CPU limit in seconds for math-verify and the older grader together.

math-verify's own limits are 5 s for each of two parses and up to four comparisons, the older grader's are 10
s for each of six steps.
"""


def text_sample(sample: Sample, found: Extracted, spec: PromptSpec) -> Sample:
    """The sample with its metrics; failed if the scorer failed on one of its texts."""
    failures = [verdict for verdict in found if isinstance(verdict, ScorerFailed)]
    if failures:
        return replace(sample, status="failed", reason=str(failures[0]))
    verdicts = [verdict for verdict in found if isinstance(verdict, TextVerdict)]
    return replace(
        sample,
        prediction=verdicts[0].extracted,
        metrics={name: metric_of_texts(name, verdicts) for name in spec.metrics},
        extracted=tuple(verdict.extracted for verdict in verdicts),
        correct=tuple(verdict.correct for verdict in verdicts),
        deciders=tuple(verdict.decider for verdict in verdicts),
    )


def metric_of_texts(name: str, verdicts: Sequence[TextVerdict]) -> float:
    """`maj@k`: vote over the first k texts. `pass@k`: unbiased estimate from all texts. Others: means."""
    kind, _, k = name.partition("@")
    if kind == "maj":
        winner = majority([verdict.extracted for verdict in verdicts[: int(k)]])
        return float(winner is not None and verdicts[winner].correct)
    if k:
        correct = [verdict.values.get(kind, verdict.correct) for verdict in verdicts]
        return pass_at_k(sum(map(bool, correct)), len(correct), int(k))
    return sum(verdict.values.get(name, verdict.correct) for verdict in verdicts) / len(verdicts)


def exact_match_verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> Scored:
    """Extract and compare with the accepted answers; each named extraction is a separate metric."""
    return Scored([[_exact(text, sample, spec) for text in generated_texts(sample)] for sample in samples])


def _exact(text: str, sample: Sample, spec: PromptSpec) -> TextVerdict:
    gold, member = _gold_forms(sample, spec), sample.document.member
    answer = extract(text, spec.extraction, member, _options(sample))
    verdict = TextVerdict(exact_match(answer, gold, spec.comparison), answer, "exact_match")
    return _with_extractions(verdict, text, sample, spec)


def _with_extractions(verdict: TextVerdict, text: str, sample: Sample, spec: PromptSpec) -> TextVerdict:
    """The verdict with a value for each named extraction; the one of the headline metric decides."""
    gold, member = _gold_forms(sample, spec), sample.document.member
    answers = {
        name: extract(text, extraction, member, _options(sample))
        for name, extraction in spec.extractions.items()
    }
    values = {name: float(exact_match(answer, gold, spec.comparison)) for name, answer in answers.items()}
    headline, every = spec.metrics[0], {**verdict.values, **values}
    if headline in answers:
        return TextVerdict(bool(values[headline]), answers[headline], headline, every)
    return replace(verdict, values=every)


def _options(sample: Sample) -> tuple[str, ...]:
    question = sample.document.question
    return question.choices if isinstance(question, MultipleChoice) else ()


def number_verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> Scored:
    """Compare the value of the final statement with the gold answer's, as exact numbers.

    Raises:
        UserError: a gold answer is not a number.
    """
    return Scored([_numbers(sample, spec) for sample in samples])


def _numbers(sample: Sample, spec: PromptSpec) -> Extracted:
    gold = {number(form) for form in _gold_forms(sample, spec)}
    if None in gold:
        raise UserError(
            f"The gold answer of document {sample.document.index} is not a number: '{sample.gold}'."
        )
    answers = [final_number(text) for text in generated_texts(sample)]
    return [
        TextVerdict(answer in gold, None if answer is None else spelled(answer), "number")
        for answer in answers
    ]


def squad_verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> Scored:
    """Exact match and F1 with the accepted answers, normalized for the member task's language."""
    return Scored([[_squad(text.strip(), sample) for text in generated_texts(sample)] for sample in samples])


def _squad(text: str, sample: Sample) -> TextVerdict:
    question, language = sample.document.question, sample.document.member
    assert isinstance(question, OpenAnswer)
    values = {
        "exact_match": squad_exact_match(text, question.answers, language),
        "f1": squad_f1(text, question.answers, language),
    }
    return TextVerdict(bool(values["exact_match"]), text, "squad", values)


def _gold_forms(sample: Sample, spec: PromptSpec) -> tuple[str, ...]:
    """The accepted answers; for multiple choice answered in free text, the letter."""
    question = sample.document.question
    if isinstance(question, MultipleChoice):
        return (spec.letters[question.answer],)
    assert isinstance(question, OpenAnswer)
    return question.answers


def _gold_solution(sample: Sample) -> str:
    question = sample.document.question
    assert isinstance(question, OpenAnswer)
    return question.solution


def _gold_solution_or_answer(sample: Sample) -> str:
    """As the filter symbolic_match of nvidia-lm-eval 26.3: the solution of MATH, the number of MGSM."""
    return _gold_solution(sample) or sample.gold


def _in_workers(target: str, gold: Callable[[Sample], str], limit: float = 30.0) -> TextScorer:
    """A scorer that calls `target(gold, text)` in worker processes, with `limit` seconds of CPU time each."""

    def verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> Scored:
        texts = [generated_texts(sample) for sample in samples]
        calls = [(gold(sample), text) for sample, own in zip(samples, texts, strict=True) for text in own]

        def on_verdict() -> None:
            options.on_verdicts(1, len(calls))

        run = partial(call_all, target, limit=limit, workers=options.workers, path=grader_path(spec))
        answers = _answers(run, calls, on_verdict) if calls else []
        each = map(_from_worker, answers)
        found: list[Extracted] = []
        for sample, own in zip(samples, texts, strict=True):
            verdicts = [(text, next(each)) for text in own]
            found.append(
                [
                    _with_extractions(one, text, sample, spec) if isinstance(one, TextVerdict) else one
                    for text, one in verdicts
                ]
            )
        version = spec.math_verify_version
        judged_by = (f"Judged by math-verify {version}.",) if version else ()
        return Scored(found, (*judged_by, *_notes(answers)))

    return verdicts


def _answers(
    run: Callable[..., list[Any | ScorerFailed]],
    calls: Sequence[tuple[str, str]],
    on_verdict: Callable[[], None],
) -> list[Any | ScorerFailed]:
    """The verdicts; a text is at fault if it fails twice, but an empty text gets a verdict."""
    answers = run(calls, on_verdict=on_verdict)
    failed = [
        index
        for index, answer in enumerate(answers)
        if isinstance(answer, ScorerFailed) and not isinstance(answer, TextAtFault)
    ]
    if failed:
        again = run([calls[index] for index in failed])
        empty = run([(calls[index][0], "") for index in failed])
        for index, second, control in zip(failed, again, empty, strict=True):
            broken = isinstance(second, ScorerFailed) and second.repeatable
            answers[index] = (
                TextAtFault(str(second)) if broken and not isinstance(control, ScorerFailed) else second
            )
    return answers


def _notes(answers: Sequence[Any | ScorerFailed]) -> tuple[str, ...]:
    reasons = Counter(str(answer) for answer in answers if isinstance(answer, TextAtFault))
    return tuple(
        f"{count} {'text counts' if count == 1 else 'texts count'} as wrong: {reason}."
        for reason, count in sorted(reasons.items())
    )


def _from_worker(answer: dict[str, Any] | ScorerFailed) -> TextVerdict | ScorerFailed:
    if isinstance(answer, TextAtFault):
        return TextVerdict(False, None, str(answer))
    if isinstance(answer, ScorerFailed):
        return answer
    correct, extracted, decider = (
        answer["correct"],
        answer["extracted"],
        answer.get("decided_by", "math_verify"),
    )
    return TextVerdict(correct, extracted, decider, answer.get("values", {}))


def grader_path(spec: PromptSpec) -> tuple[str, ...]:
    """Folders that scoring processes import math-verify from, if the spec needs another than 0.7.

    Raises:
        UserError: that version is not installed.
    """
    version = spec.math_verify_version
    return import_path("math-verify", version, f"{spec.recipe}/{spec.task} is judged by") if version else ()


def refuse_missing_graders(specs: Iterable[PromptSpec]) -> None:
    """Raises UserError if a spec needs a grader that is not installed: before texts are generated for it."""
    for spec in specs:
        grader_path(spec)


TEXT_SCORERS: dict[str, TextScorer] = {
    "exact_match": exact_match_verdicts,
    "number": number_verdicts,
    "math_answer": _in_workers(
        "evalsuite.scoring.math_answer:math_answer_verdict", lambda sample: sample.gold
    ),
    "math_verify": _in_workers("evalsuite.scoring.math:math_verdict", lambda sample: sample.gold),
    "nvidia_math": _in_workers(
        "evalsuite.scoring.math:nvidia_math_verdict", _gold_solution, limit=NVIDIA_MATH_LIMIT
    ),
    "symbolic_match": _in_workers("evalsuite.scoring.math:symbolic_verdict", _gold_solution_or_answer),
    "minerva_math": _in_workers("evalsuite.scoring.lm_eval_math:minerva_math_verdict", _gold_solution),
    "hendrycks_math": _in_workers("evalsuite.scoring.lm_eval_math:hendrycks_math_verdict", _gold_solution),
    "squad": squad_verdicts,
    "code": code_verdicts,
}
