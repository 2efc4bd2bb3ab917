"""The samples of all runs as one compact text for the sample browser.

Columns in JSON, texts each once (`pool`), gzip, base64: a few MB for 30,000 five-shot prompts.

Public names: `payload`, `packed`.
"""

import base64
import gzip
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from evalsuite.decisions.compare.pairs import align
from evalsuite.report.pool import Pool
from evalsuite.report.source import RunSource, TaskSource
from evalsuite.stats.metrics import lower_is_better

KEY_CHARACTERS = 16
"""As many as `evalsuite compare --flips` prints."""
_SHARED = 8
"""A paragraph in more prompts of a task than this is one of the shots, not a passage of the question."""
_STATUSES = ("scored", "failed", "too_long")


def packed(document: Any) -> str:
    """JSON, gzip, base64; equal documents give equal texts."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode("ascii")


def payload(runs: Sequence[RunSource]) -> dict[str, Any]:
    """What the sample browser reads: one block per task, one set of columns per run, rows aligned by
    content."""
    pool = Pool()
    tasks = [_task(pool, group) for group in _grouped(runs)]
    return {"runs": [run.label for run in runs], "tasks": tasks, **pool.document()}


def _grouped(runs: Sequence[RunSource]) -> list[list[TaskSource | None]]:
    """Equal tasks of all runs side by side: by full address, else by name."""
    groups: list[list[TaskSource | None]] = []
    for place, run in enumerate(runs):
        for source in run.tasks:
            found = [group for group in groups if group[place] is None and _same(group, source)]
            if not found:
                groups.append([None] * len(runs))
            (found[0] if found else groups[-1])[place] = source
    return groups


def _same(group: Sequence[TaskSource | None], source: TaskSource) -> bool:
    first = next(one for one in group if one is not None)
    return source.record.address == first.record.address or source.record.name == first.record.name


def _task(pool: Pool, group: Sequence[TaskSource | None]) -> dict[str, Any]:
    present = [one for one in group if one is not None]
    record = present[0].record
    metrics = list(
        dict.fromkeys(
            [record.headline, *(name for one in present for row in one.samples.metrics for name in row)]
        )
    )
    subtasks = list(dict.fromkeys(name for one in present for name in one.samples.subtasks))
    return {
        "name": record.name,
        "metrics": metrics,
        "loss": lower_is_better(record.headline),
        "subtasks": subtasks,
        "runs": [one and _columns(pool, one, metrics, subtasks) for one in group],
        "rows": _rows(group),
    }


def _rows(group: Sequence[TaskSource | None]) -> list[list[int]]:
    """For each run, the row of each document of the task, or -1; documents of later runs come last."""
    rows: list[list[int]] = []
    for place, source in enumerate(group):
        count = len(rows[0]) if rows else 0
        column = [-1] * count
        new: list[int] = []
        if source is not None:
            earlier = next((at for at, one in enumerate(group[:place]) if one is not None), None)
            base = group[earlier] if earlier is not None else None
            if base is None or earlier is None:
                new = list(range(len(source.samples)))
            else:
                pairs = align(base.samples, source.samples)
                there = {row: at for at, row in enumerate(rows[earlier]) if row >= 0}
                for row, other in pairs.common:
                    column[there[row]] = other
                new = list(pairs.only_second)
        rows = [[*one, *[-1] * len(new)] for one in rows] + [[*column, *new]]
    return rows


def _columns(
    pool: Pool, source: TaskSource, metrics: Sequence[str], subtasks: Sequence[str]
) -> dict[str, Any]:
    samples, answers = source.samples, source.answers
    prompts = [[pool.prompt(text) for text in contexts] for contexts in answers["contexts"]]
    uses = Counter(piece for row in prompts for piece in {piece for _, path in row for piece in path})
    place = {name: number for number, name in enumerate(subtasks)}
    return {
        "doc": list(samples.docs),
        "subtask": [place[name] for name in samples.subtasks],
        "key": [key[:KEY_CHARACTERS] for key in samples.keys],
        "status": [_STATUSES.index(one) if one in _STATUSES else 1 for one in samples.statuses],
        "reason": [pool.string(reason or "") for reason in samples.reasons],
        "values": [[one.get(name) for name in metrics] for one in samples.metrics],
        "contexts": [_short([node for node, _ in row]) for row in prompts],
        "own": [
            _own(row[0][1], uses, shots) if row else 1
            for row, shots in zip(prompts, answers["shots"], strict=True)
        ],
        "shots": answers["shots"],
        "gold": [pool.string(gold or "") for gold in answers["gold"]],
        "prediction": [-1 if one is None else pool.string(one) for one in answers["prediction"]],
        "continuations": [pool.strings(one) for one in answers["continuations"]],
        "logs": [[_rounded(one) for one in row] for row in answers["log_likelihoods"]],
        "greedy": [sum(bool(one) << at for at, one in enumerate(row)) for row in answers["is_greedy"]],
        "texts": [pool.strings(one) for one in answers["texts"]],
        "finishes": [pool.strings(one) for one in answers["finishes"]],
        "written": answers["generated_tokens"],
        "contextTokens": [_short(one) for one in answers["context_tokens"]],
        "choiceTokens": [_short(one) for one in answers["continuation_tokens"]],
    }


def _own(path: Sequence[int], uses: Counter[int], shots: int) -> int:
    """How many paragraphs at the end are the document's own; the samples do not say where the shots end."""
    if not shots:
        return len(path)
    if len(path) in (shots + 1, shots + 2):  # with and without a description before the shots
        return 1
    own = 1
    while own < len(path) and uses[path[-own - 1]] <= _SHARED:
        own += 1
    return own


def _rounded(value: float | None) -> float | None:
    """Four decimals; JSON has no word for what is not finite."""
    return round(value, 4) if value is not None and abs(value) < float("inf") else None


def _short(values: Sequence[int]) -> int | list[int]:
    """One number for a list of equal ones."""
    return values[0] if values and len(set(values)) == 1 else list(values)
