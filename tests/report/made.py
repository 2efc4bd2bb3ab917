"""Runs with prompts, answers and verdicts, through the package's own writers; no model, no data."""

import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from evalsuite.results.folder import RunFolder
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import MetricRecord, ModelRecord, RunLog, TaskRecord
from evalsuite.stats.intervals import mean_estimate
from evalsuite.types import Document, Generated, MultipleChoice, OpenAnswer, Prompt, Sample, Score
from tests.fabricate import Made, _record

WORDS = (
    "of",
    "and",
    "to",
    "in",
    "that",
    "for",
    "as",
    "was",
    "with",
    "be",
    "by",
    "on",
    "not",
    "he",
    "his",
    "from",
)
LETTERS = (" A", " B", " C", " D")


def sentence(draw: random.Random, words: int) -> str:
    return " ".join(draw.choice(WORDS) + str(draw.randrange(90)) for _ in range(words))


def quiz(count: int, subjects: int = 57, seed: int = 0) -> list[Sample]:
    """Five-shot multiple choice by letters: the shots are those of the subject."""
    draw, judge = random.Random(0), random.Random(seed)
    shots = ["".join(f"{sentence(draw, 25)}\nAnswer: A\n\n" for _ in range(5)) for _ in range(subjects)]
    return [_quiz(place, draw, judge, place % subjects, shots[place % subjects]) for place in range(count)]


def _quiz(place: int, draw: random.Random, judge: random.Random, subject: int, shots: str) -> Sample:
    question, answer = sentence(draw, 30), draw.randrange(4)
    logs = [judge.gauss(-2, 1) + (at == answer) for at in range(4)]
    chosen = logs.index(max(logs))
    return Sample(
        document=Document(
            place,
            f"quiz_subject_{subject}",
            place // 57,
            {"q": question},
            MultipleChoice(question, LETTERS, answer),
        ),
        prompt=Prompt((f"{shots}{question}\nA. one\nB. two\nC. three\nD. four\nAnswer:",), LETTERS),
        shots=5,
        status="scored",
        gold=str(answer),
        prediction=str(chosen),
        metrics={"acc": float(chosen == answer)},
        responses=tuple(Score((log,), log > -0.5) for log in logs),
        context_tokens=(300,) * 4,
        continuation_tokens=(1,) * 4,
    )


def sums(count: int, *, texts: Sequence[str] = (), failed: Sequence[int] = ()) -> list[Sample]:
    """Generated answers to open questions; the texts given stand first."""
    samples = []
    for place in range(count):
        text = texts[place] if place < len(texts) else f" It is {place + place % 2}."
        sample = Sample(
            document=Document(place, "", place, {"n": place}, OpenAnswer(f"{place} + 0?", (str(place),))),
            prompt=Prompt((f"Q: 1 + 1?\nA: 2\n\nQ: {place} + 0?\nA:",)),
            shots=1,
            status="scored",
            gold=str(place),
            prediction=str(place + place % 2),
            metrics={"exact_match": float(not place % 2)},
            responses=(Generated(text, 7, "length" if place == 2 else "stop"),),
            context_tokens=(12,),
        )
        if place in failed:
            sample = replace(
                sample, status="failed", reason="the engine died", prediction=None, metrics={}, responses=()
            )
        samples.append(sample)
    return samples


def write(folder: Path, tasks: dict[str, list[Sample]], **log: Any) -> Path:
    """A finished run with these samples."""
    records = tuple(record(name, samples) for name, samples in tasks.items())
    fields: dict[str, Any] = {
        "evalsuite_version": "0.1.0",
        "status": "complete",
        "spec": RunSpec(tasks=tuple(one.address for one in records), model=folder.name),
        "inputs_sha256": "0" * 64,
        "model": ModelRecord(
            id=folder.name, revision=None, weights_sha256=folder.name, tokenizer_sha256="1", numerics="test"
        ),
        "environment": {"python": "3.11", "math-verify": "0.7.0"},
        "started": "2026-11-22T12:00:00+00:00",
        "seconds": 100.0,
        "tasks": records,
    }
    folder.mkdir(parents=True, exist_ok=True)
    RunFolder(folder).write_results(RunLog(**fields | log), tasks)
    return folder


def record(name: str, samples: Sequence[Sample]) -> TaskRecord:
    scored = [one for one in samples if one.metrics]
    metric = next(iter(scored[0].metrics), "acc") if scored else "acc"
    values = [one.metrics[metric] for one in scored]
    failed = len(samples) - len(scored)
    made = _record(name, Made([0.0] * len(samples), metric=metric))
    return made.model_copy(
        update={
            "shots": samples[0].shots,
            "chance": 0.25 if metric == "acc" else None,
            "counts": made.counts.model_copy(update={"scored": len(scored), "failed": failed}),
            "metrics": {} if failed else {metric: MetricRecord(**asdict(mean_estimate(values)))},
            "problem": f"{failed} of {len(samples)} documents have no verdict" if failed else "",
            "requests": 4 * len(samples),
            "tokens": 300 * len(samples),
            "seconds": 0.01 * len(samples),
        }
    )
