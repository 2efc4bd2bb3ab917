"""Verdicts on generated texts, and a document's metrics from them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from evalsuite.errors import UserError
from evalsuite.prompting.spec import PromptSpec
from evalsuite.scoring.code import code_verdicts
from evalsuite.scoring.passk import pass_at_k
from evalsuite.scoring.squad import squad_exact_match, squad_f1
from evalsuite.scoring.statement import final_number, number, spelled
from evalsuite.scoring.text import exact_match, extract
from evalsuite.scoring.verdict import Found, Options, Scored, TextScorer, TextVerdict, generated_texts
from evalsuite.scoring.vote import majority
from evalsuite.scoring.workers import ScorerFailed, call_all
from evalsuite.types import MultipleChoice, OpenAnswer, Sample

NVIDIA_MATH_LIMIT = 120.0
"""Seconds for math-verify's own time limits (5 s for each of two parses and of up to four comparisons) and the
older grader's (10 s for each of six steps), which mean "not equal", before a call counts as failed."""


def text_sample(sample: Sample, found: Found, spec: PromptSpec) -> Sample:
    """The document's metrics; a scorer that failed on one of its texts leaves it unscored."""
    failures = [one for one in found if isinstance(one, ScorerFailed)]
    if failures:
        return replace(sample, status="failed", reason=str(failures[0]))
    verdicts = [one for one in found if isinstance(one, TextVerdict)]
    return replace(
        sample,
        prediction=verdicts[0].extracted,
        metrics={name: metric_of_texts(name, verdicts) for name in spec.metrics},
        extracted=tuple(one.extracted for one in verdicts),
        correct=tuple(one.correct for one in verdicts),
        deciders=tuple(one.decider for one in verdicts),
    )


def metric_of_texts(name: str, verdicts: Sequence[TextVerdict]) -> float:
    """`maj@k` votes over the first k texts, `pass@k` is the unbiased estimate from all, others are means."""
    kind, _, k = name.partition("@")
    if kind == "maj":
        winner = majority([one.extracted for one in verdicts[: int(k)]])
        return float(winner is not None and verdicts[winner].correct)
    if k:
        right = [one.values.get(kind, one.correct) for one in verdicts]
        return pass_at_k(sum(map(bool, right)), len(right), int(k))
    return sum(one.values.get(name, one.correct) for one in verdicts) / len(verdicts)


def exact_match_verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> Scored:
    """Extraction, then comparison with the accepted answers; each named extraction is a metric of its own."""
    return Scored([[_exact(text, sample, spec) for text in generated_texts(sample)] for sample in samples])


def _exact(text: str, sample: Sample, spec: PromptSpec) -> TextVerdict:
    gold, member = _gold_forms(sample, spec), sample.document.member
    answers = {name: extract(text, one, member) for name, one in spec.extractions.items()}
    values = {name: float(exact_match(answer, gold, spec.comparison)) for name, answer in answers.items()}
    headline = spec.metrics[0]
    if headline in answers:
        return TextVerdict(bool(values[headline]), answers[headline], headline, values)
    answer = extract(text, spec.extraction, member)
    return TextVerdict(exact_match(answer, gold, spec.comparison), answer, "exact_match", values)


def number_verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> Scored:
    """The value of the final statement equals the gold answer's, as exact numbers.

    Raises:
        UserError: a gold answer is no number.
    """
    return Scored([_numbers(sample, spec) for sample in samples])


def _numbers(sample: Sample, spec: PromptSpec) -> Found:
    gold = {number(form) for form in _gold_forms(sample, spec)}
    if None in gold:
        raise UserError(f"The gold answer of document {sample.document.index} is no number: '{sample.gold}'.")
    answers = [final_number(text) for text in generated_texts(sample)]
    return [
        TextVerdict(answer in gold, None if answer is None else spelled(answer), "number")
        for answer in answers
    ]


def squad_verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> Scored:
    """Exact match and F1 with the accepted answers, normalised by the member task's language."""
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
    """Accepted answers; of a listed question that is answered in free text, its letter."""
    question = sample.document.question
    if isinstance(question, MultipleChoice):
        return (spec.letters[question.answer],)
    assert isinstance(question, OpenAnswer)
    return question.answers


def _gold_solution(sample: Sample) -> str:
    question = sample.document.question
    assert isinstance(question, OpenAnswer)
    return question.solution


def _in_workers(target: str, gold: Callable[[Sample], str], limit: float = 30.0) -> TextScorer:
    """A scorer that calls `target(gold, text)` in worker processes, each call within `limit` seconds."""

    def verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> Scored:
        texts = [generated_texts(sample) for sample in samples]
        calls = [(gold(sample), text) for sample, some in zip(samples, texts, strict=True) for text in some]

        def on_verdict() -> None:
            options.on_verdicts(1, len(calls))

        answers = iter(
            call_all(target, calls, limit=limit, workers=options.workers, on_verdict=on_verdict)
            if calls
            else []
        )
        return Scored([[_from_worker(next(answers)) for _ in some] for some in texts])

    return verdicts


def _from_worker(answer: dict | ScorerFailed) -> TextVerdict | ScorerFailed:
    if isinstance(answer, ScorerFailed):
        return answer
    correct, extracted, decider = (
        answer["correct"],
        answer["extracted"],
        answer.get("decided_by", "math_verify"),
    )
    return TextVerdict(correct, extracted, decider, answer.get("values", {}))


TEXT_SCORERS: dict[str, TextScorer] = {
    "exact_match": exact_match_verdicts,
    "number": number_verdicts,
    "math_verify": _in_workers("evalsuite.scoring.math:math_verdict", lambda sample: sample.gold),
    "nvidia_math": _in_workers(
        "evalsuite.scoring.math:nvidia_math_verdict", _gold_solution, limit=NVIDIA_MATH_LIMIT
    ),
    "minerva_math": _in_workers("evalsuite.scoring.lm_eval_math:minerva_math_verdict", _gold_solution),
    "hendrycks_math": _in_workers("evalsuite.scoring.lm_eval_math:hendrycks_math_verdict", _gold_solution),
    "squad": squad_verdicts,
    "code": code_verdicts,
}
