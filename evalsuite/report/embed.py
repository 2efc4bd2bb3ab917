"""Packs the samples of all runs into one compact text for the sample browser.

The text is JSON columns, with each text stored once (`pool`), in gzip and base64: a few MB for 30,000
five-shot prompts.

Public names: `payload`, `packed`.
"""

import base64
import gzip
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from evalsuite.decisions.compare.pairs import align
from evalsuite.report.pool import TextPool
from evalsuite.report.source import RunSource, TaskSource
from evalsuite.stats.metrics import lower_is_better

KEY_CHARACTERS = 16
"""Number of characters of a key that `evalsuite compare --flips` prints."""
_SHARED = 8
"""A paragraph in more prompts of a task than this belongs to the shots, not to the question."""
_LONGEST = 4_000
"""Characters of a scored text on the page."""
_STATUSES = ("scored", "failed", "too_long")


def packed(document: Any) -> str:
    """The document as JSON in gzip and base64; equal documents give equal texts."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode("ascii")


def payload(runs: Sequence[RunSource]) -> dict[str, Any]:
    """The sample browser's data: a block per task with columns per run, rows aligned by content."""
    pool = TextPool()
    tasks = [_task(pool, group) for group in _grouped(runs)]
    return {"runs": [run.label for run in runs], "tasks": tasks, **pool.document()}


def _grouped(runs: Sequence[RunSource]) -> list[list[TaskSource | None]]:
    """The tasks of all runs, matched by full address or else by name; None if a run lacks the task."""
    groups: list[list[TaskSource | None]] = []
    for index, run in enumerate(runs):
        for source in run.tasks:
            found = [group for group in groups if group[index] is None and _same(group, source)]
            if not found:
                groups.append([None] * len(runs))
            (found[0] if found else groups[-1])[index] = source
    return groups


def _same(group: Sequence[TaskSource | None], source: TaskSource) -> bool:
    first = next(task for task in group if task is not None)
    return source.record.address == first.record.address or source.record.name == first.record.name


def _task(pool: TextPool, group: Sequence[TaskSource | None]) -> dict[str, Any]:
    present = [source for source in group if source is not None]
    record = present[0].record
    names = (name for source in present for row in source.samples.metrics for name in row)
    metrics = list(dict.fromkeys([record.headline, *names]))
    subtasks = list(dict.fromkeys(name for source in present for name in source.samples.subtasks))
    return {
        "name": record.name,
        "metrics": metrics,
        "loss": lower_is_better(record.headline),
        "subtasks": subtasks,
        "runs": [source and _columns(pool, source, metrics, subtasks) for source in group],
        "rows": _rows(group),
    }


def _rows(group: Sequence[TaskSource | None]) -> list[list[int]]:
    """For each run, the row of each of the task's documents, or -1; documents of later runs come last."""
    rows: list[list[int]] = []
    for index, source in enumerate(group):
        count = len(rows[0]) if rows else 0
        column = [-1] * count
        new: list[int] = []
        if source is not None:
            earlier = next((run for run, task in enumerate(group[:index]) if task is not None), None)
            base = group[earlier] if earlier is not None else None
            if base is None or earlier is None:
                new = list(range(len(source.samples)))
            else:
                pairs = align(base.samples, source.samples)
                document_of = {row: document for document, row in enumerate(rows[earlier]) if row >= 0}
                for row, other in pairs.common:
                    column[document_of[row]] = other
                new = list(pairs.only_second)
        rows = [[*earlier_rows, *[-1] * len(new)] for earlier_rows in rows] + [[*column, *new]]
    return rows


def _columns(
    pool: TextPool, source: TaskSource, metrics: Sequence[str], subtasks: Sequence[str]
) -> dict[str, Any]:
    samples, answers = source.samples, source.answers
    prompts = [[pool.prompt(text) for text in contexts] for contexts in answers["contexts"]]
    uses = Counter(piece for row in prompts for piece in {piece for _, path in row for piece in path})
    index_of = {name: index for index, name in enumerate(subtasks)}
    return {
        "doc": list(samples.docs),
        "subtask": [index_of[name] for name in samples.subtasks],
        "key": [key[:KEY_CHARACTERS] for key in samples.keys],
        "status": [_STATUSES.index(status) if status in _STATUSES else 1 for status in samples.statuses],
        "reason": [pool.string(reason or "") for reason in samples.reasons],
        "values": [[values.get(name) for name in metrics] for values in samples.metrics],
        "contexts": [_short([node for node, _ in row]) for row in prompts],
        "own": [
            _own(row[0][1], uses, shots) if row else 1
            for row, shots in zip(prompts, answers["shots"], strict=True)
        ],
        "shots": answers["shots"],
        "gold": [pool.string(gold or "") for gold in answers["gold"]],
        "prediction": [-1 if text is None else pool.string(text) for text in answers["prediction"]],
        "continuations": [
            pool.strings([_shortened(text) for text in texts]) for texts in answers["continuations"]
        ],
        "logs": [[_rounded(nats) for nats in row] for row in answers["log_likelihoods"]],
        "greedy": [
            sum(bool(greedy) << bit for bit, greedy in enumerate(row)) for row in answers["is_greedy"]
        ],
        "texts": [pool.strings(texts) for texts in answers["texts"]],
        "finishes": [pool.strings(texts) for texts in answers["finishes"]],
        "written": answers["generated_tokens"],
        "contextTokens": [_short(counts) for counts in answers["context_tokens"]],
        "choiceTokens": [_short(counts) for counts in answers["continuation_tokens"]],
    }


def _shortened(text: str) -> str:
    """A scored text, of a long one the beginning: a page is not the place for a corpus."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text):,} characters)"


def _own(path: Sequence[int], uses: Counter[int], shots: int) -> int:
    """Number of last paragraphs that belong to the document; samples do not mark where shots end."""
    if not shots:
        return len(path)
    if len(path) in (shots + 1, shots + 2):  # with and without a description before the shots
        return 1
    own = 1
    while own < len(path) and uses[path[-own - 1]] <= _SHARED:
        own += 1
    return own


def _rounded(value: float | None) -> float | None:
    """The value with four decimals; None if it is not finite, which JSON cannot express."""
    return round(value, 4) if value is not None and abs(value) < float("inf") else None


def _short(values: Sequence[int]) -> int | list[int]:
    """The values, or a single number if all are equal."""
    return values[0] if values and len(set(values)) == 1 else list(values)
