"""Grades texts that another program generated with a task's scorer, without a model or a run folder."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from evalsuite.errors import UserError
from evalsuite.prompting.shots import Shots
from evalsuite.prompting.spec import GENERATED, PromptSpec
from evalsuite.registry.selected import PreparedTask, Selected
from evalsuite.requests.prepare import prepare
from evalsuite.runs.responses_file import ResponseLine
from evalsuite.scoring.statement import number
from evalsuite.scoring.texts import TEXT_SCORERS, metric_of_texts
from evalsuite.scoring.verdict import Extracted, Options, TextVerdict
from evalsuite.stats.intervals import Estimate, mean_estimate
from evalsuite.types import (
    Document,
    Generated,
    MultipleChoice,
    OpenAnswer,
    Prompt,
    Question,
    Sample,
    gold_text,
)


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdicts on one line."""

    line: ResponseLine
    found: Extracted
    metrics: dict[str, float]
    """The recipe's metrics that this number of texts allows; empty if a text has no verdict."""

    def record(self) -> dict[str, Any]:
        """As a JSON object: `correct`, `extracted` and `grader` are lists if the line has `texts`.

        If the scorer failed on a text, its `correct` is null and `problem` gives the reason.
        """
        verdicts = [verdict if isinstance(verdict, TextVerdict) else None for verdict in self.found]
        problems = [None if isinstance(verdict, TextVerdict) else str(verdict) for verdict in self.found]
        columns: dict[str, list[Any]] = {
            "correct": [verdict and verdict.correct for verdict in verdicts],
            "extracted": [verdict and verdict.extracted for verdict in verdicts],
            "grader": [verdict and verdict.decider for verdict in verdicts],
        }
        if any(problems):
            columns["problem"] = problems
        shown = columns if self.line.several else {name: values[0] for name, values in columns.items()}
        return {"doc": self.line.doc, **shown, "metrics": self.metrics}


class Graded(NamedTuple):
    """A grade for every line, in order, and notes on them."""

    grades: list[Grade]
    notes: tuple[str, ...] = ()


def grade(
    selected: Selected,
    lines: Sequence[ResponseLine],
    *,
    data_dir: Path | None = None,
    split: str | None = None,
    allow_drift: bool = False,
    options: Options | None = None,
) -> Graded:
    """Grade each line by itself, in order, exactly as a run of the same task would.

    The dataset is read only if a line needs it: if it has no gold answer, or if its verdict also depends on
    the document (the language of TyDiQA, the words of MGSM, the options of GPQA).

    Raises:
        UserError: the task generates no text, a document does not exist, a gold answer does not fit the task,
            or this machine cannot score it (no sandbox for code).
    """
    spec = selected.spec
    if spec.format not in GENERATED:
        raise UserError(
            f"{selected.name} compares the log-likelihoods of choices; `grade` works for tasks that generate "
            "text. `evalsuite list tasks` shows each task's format."
        )
    prepared = None
    if any(_needs_document(line, spec) for line in lines):
        # Only prompts use shots, so that their split need not exist.
        zero_shot = replace(selected, spec=spec.model_copy(update={"shots": Shots()}))
        prepared = prepare(zero_shot, data_dir=data_dir, split=split, allow_drift=allow_drift)
    samples = [_sample(line, spec, prepared) for line in lines]
    scored = TEXT_SCORERS[spec.scorer](samples, spec, options or Options())
    grades = [
        Grade(line, found, _metrics(found, spec)) for line, found in zip(lines, scored.found, strict=True)
    ]
    notes = (*(prepared.notes if prepared else ()), *scored.notes, *_uncut(lines, spec))
    return Graded(grades, notes)


def _uncut(lines: Sequence[ResponseLine], spec: PromptSpec) -> Iterator[str]:
    """A note if texts contain a stop string of the spec, which the texts of a run never do."""
    stop = spec.generation.stop if spec.generation else ()
    if isinstance(stop, dict):  # other strings for each member task
        return
    texts = [text for line in lines for text in line.texts]
    found = Counter(next((string for string in stop if string in text), None) for text in texts)
    if count := len(texts) - found.pop(None, 0):
        shown = ", ".join(repr(string) for string, _ in found.most_common(3))
        yield (
            f"{count} of {len(texts)} texts contain a stop string ({shown}): a run would have ended them "
            "there. They are judged whole."
        )


def _needs_document(line: ResponseLine, spec: PromptSpec) -> bool:
    extractions = [spec.extraction, *spec.extractions.values()]
    by_document = any(one is not None and (one.member_patterns or one.options) for one in extractions)
    return not line.gold or spec.scorer == "squad" or by_document


def _sample(line: ResponseLine, spec: PromptSpec, prepared: PreparedTask | None) -> Sample:
    document = Document(line.doc or 0, "", 0, {}, OpenAnswer("", ("",)))
    if prepared is not None and _needs_document(line, spec):
        document = _document(line, prepared)
    if line.gold:
        document = replace(document, question=_overridden(line, spec, document.question))
    return Sample(
        document=document,
        prompt=Prompt(()),
        shots=0,
        status="scored",
        gold=gold_text(document),
        responses=tuple(Generated(text, 0, "stop") for text in line.texts),
    )


def _document(line: ResponseLine, prepared: PreparedTask) -> Document:
    if line.doc is None:
        raise UserError(
            f"Line {line.number}: the verdict of {prepared.selected.name} depends on the document; name it "
            "with 'doc'."
        )
    if line.doc >= len(prepared.documents):
        raise UserError(
            f"Line {line.number}: split '{prepared.split}' of {prepared.selected.name} has documents 0 to "
            f"{len(prepared.documents) - 1}, not {line.doc}."
        )
    return prepared.documents[line.doc]


def _overridden(line: ResponseLine, spec: PromptSpec, question: Question) -> Question:
    """The question with the line's gold answer in place of the document's."""
    if spec.scorer == "code":
        raise UserError(f"Line {line.number}: the document's tests judge a program; omit 'gold'.")
    asks_for_letters = "letters[" in spec.question
    if asks_for_letters and not all(len(gold) == 1 and gold in spec.letters for gold in line.gold):
        raise UserError(
            f"Line {line.number}: the gold answer of {spec.task} must be a letter, got '{line.gold[0]}'."
        )
    if spec.scorer == "number":
        for form in line.gold:
            if number(form) is None:
                raise UserError(
                    f"Line {line.number}: the gold answer of {spec.task} must be a number, got '{form}'."
                )
    if isinstance(question, MultipleChoice):  # its options help to find the answer
        return replace(question, answer=spec.letters.index(line.gold[0]))
    return OpenAnswer("", line.gold, line.gold[0])


def _metrics(found: Extracted, spec: PromptSpec) -> dict[str, float]:
    verdicts = [verdict for verdict in found if isinstance(verdict, TextVerdict)]
    if len(verdicts) < len(found):
        return {}
    return {name: metric_of_texts(name, verdicts) for name in _computable(spec, len(found))}


def _computable(spec: PromptSpec, texts: int) -> Iterator[str]:
    """The spec's metrics that need at most `texts` texts."""
    for name in spec.metrics:
        k = name.partition("@")[2]
        if not k or int(k) <= texts:
            yield name


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts and scores over all lines."""

    lines: int
    texts: int
    without_verdict: int
    """Texts that the scorer failed on."""
    scores: dict[str, Estimate]
    """Means of the metrics that every line has; empty if a text has no verdict, unless allowed."""


def summary(grades: Sequence[Grade], allow_failures: bool = False) -> Summary:
    """Scores over lines; standard errors cluster the lines that belong to one document."""
    failed = sum(not isinstance(verdict, TextVerdict) for grade in grades for verdict in grade.found)
    judged = [grade for grade in grades if grade.metrics]
    scores = {}
    if judged and (allow_failures or not failed):
        docs = [
            grade.line.number if grade.line.doc is None else f"document {grade.line.doc}" for grade in judged
        ]
        clusters = docs if max(Counter(docs).values()) > 1 else None
        for name in judged[0].metrics:
            if all(name in grade.metrics for grade in judged):
                scores[name] = mean_estimate([grade.metrics[name] for grade in judged], clusters)
    return Summary(len(grades), sum(len(grade.found) for grade in grades), failed, scores)
