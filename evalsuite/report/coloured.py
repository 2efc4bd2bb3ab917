"""Held-out texts of two runs, coloured by which model finds each part cheaper.

Public names: `ColouredPart`, `TextView`, `text_views`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalsuite.decisions.compare.attribution import TextPart, attribute, token_bits
from evalsuite.decisions.compare.document import PairComparison, TextDifference
from evalsuite.report.source import RunSource, TaskSource

MOST = 5
"""Texts shown in each direction, those with the largest differences."""
SHOWN_BYTES = 4_000
"""Bytes shown of a longer text: the stretch where the models differ most."""
STEPS = (0.1, 0.5, 1.0, 2.0)
"""Differences in bits per byte from which on a part has a colour, each deeper than the one before."""


@dataclass(frozen=True)
class ColouredPart:
    """A part of a text."""

    text: str
    colour: str
    """Class of the style: `cheaper-2` for the candidate, `dearer-2` for the baseline; empty for none."""
    title: str


@dataclass(frozen=True)
class TextView:
    """One text."""

    task: str
    doc: int
    subtask: str
    size: int
    baseline: float
    """Bits of the whole text."""
    candidate: float
    difference: float
    stretch: str
    """Which bytes are shown, if not all."""
    parts: tuple[ColouredPart, ...]


def text_views(baseline: RunSource, candidate: RunSource, pair: PairComparison) -> list[TextView]:
    """The texts with the largest differences in bits, where the candidate loses most first."""
    return [
        view
        for task in pair.tasks
        if task.texts
        for view in _of_task(baseline, candidate, task.name, task.texts)
    ]


def _of_task(
    baseline: RunSource, candidate: RunSource, name: str, texts: Sequence[TextDifference]
) -> Iterator[TextView]:
    before = next(task for task in baseline.tasks if task.record.name == name)
    address = before.record.address
    after = next(
        task for task in candidate.tasks if name == task.record.name or address == task.record.address
    )
    rows = {doc: row for row, doc in enumerate(before.samples.docs)}
    other_rows = {doc: row for row, doc in enumerate(after.samples.docs)}
    ordered = sorted(texts, key=lambda text: -text.difference)
    for text in [*ordered[:MOST], *ordered[MOST:][-MOST:]]:
        parts = _parts(before, rows[text.doc], after, other_rows[text.candidate_doc])
        if not parts:
            continue
        start, end = _stretch(parts)
        first = sum(part.size for part in parts[:start])
        shown = sum(part.size for part in parts[start:end])
        whole = (start, end) == (0, len(parts))
        yield TextView(
            task=name,
            doc=text.doc,
            subtask=text.subtask.removeprefix(f"{before.record.task}_"),
            size=text.bytes,
            baseline=text.baseline_bits,
            candidate=text.candidate_bits,
            difference=text.difference,
            stretch="" if whole else f"bytes {first:,} to {first + shown:,}, where the models differ most",
            parts=tuple(map(_coloured, parts[start:end])),
        )


def _parts(before: TaskSource, row: int, after: TaskSource, other: int) -> list[TextPart]:
    """The text's parts; none where a run has no numbers of its tokens (imported results)."""
    tokens = []
    for source, place in ((before, row), (after, other)):
        log_probs = source.answers.get("token_log_probs")
        if not log_probs or not log_probs[place]:
            return []
        tokens.append(token_bits(log_probs[place], source.answers["token_bytes"][place]))
    return attribute(before.answers["continuations"][row][0], *tokens)


def _stretch(parts: Sequence[TextPart]) -> tuple[int, int]:
    """The first and last (exclusive) of the parts to show: all, or the stretch with most difference."""
    best, found, start, size, weight = -1.0, (0, len(parts)), 0, 0, 0.0
    for end, part in enumerate(parts, start=1):
        size, weight = size + part.size, weight + abs(part.difference)
        while size > SHOWN_BYTES and start < end - 1:
            size, weight = size - parts[start].size, weight - abs(parts[start].difference)
            start += 1
        if weight > best:
            best, found = weight, (start, end)
    return (0, len(parts)) if sum(part.size for part in parts) <= SHOWN_BYTES else found


def _coloured(part: TextPart) -> ColouredPart:
    per_byte = part.difference / part.size
    step = sum(abs(per_byte) >= limit for limit in STEPS)
    side = "cheaper" if per_byte < 0 else "dearer"
    title = f"{part.baseline:.2f} → {part.candidate:.2f} bits"
    return ColouredPart(part.text, f"{side}-{step}" if step else "", title)
