"""The comparison with published numbers for the template; `evalsuite card` gives all verdicts.

Public names: `CardLine`, `CardView`, `card_view`.
"""

from dataclasses import dataclass
from pathlib import Path

from evalsuite.decisions.card.compare import compare_with_card
from evalsuite.decisions.card.document import CellComparison
from evalsuite.decisions.card.table import card_rows
from evalsuite.report.marks import DASH, Mark, delta_mark


@dataclass(frozen=True)
class CardLine:
    """One published number."""

    benchmark: str
    task: str
    metric: str
    published: str
    measured: str
    delta: str
    interval: str
    documents: str
    verdict: str
    reasons: tuple[str, ...]
    mark: Mark | None

    @property
    def measurable(self) -> bool:
        """Whether the run has a score to compare with."""
        return self.measured != DASH


@dataclass(frozen=True)
class CardView:
    """A run and a model's numbers in a publication."""

    title: str
    source: str
    model: str
    run: str
    lines: tuple[CardLine, ...]
    notes: tuple[str, ...]
    reach: str
    """End of the axis, in points."""


def card_view(run: Path, card: str, model: str | None = None) -> CardView:
    """Compare a run with a card; raises the errors of `compare_with_card`."""
    found = compare_with_card(run, card, model=model)
    shown = [cell for cell in found.cells if cell.verdict != "not comparable"] or found.cells
    ends = [abs(end) for cell in shown for end in (cell.delta_low, cell.delta_high) if end is not None]
    reach = 1.05 * max(ends, default=0.0)
    return CardView(
        title=found.title,
        source=found.source,
        model=found.model,
        run=found.run.label,
        lines=tuple(_line(row, cell, reach) for row, cell in zip(card_rows(found), found.cells, strict=True)),
        notes=found.notes,
        reach=f"{100 * reach:.1f}",
    )


def _line(row: tuple[str, ...], cell: CellComparison, reach: float) -> CardLine:
    benchmark, task, metric, published, measured, delta, interval, documents, _ = row
    return CardLine(
        benchmark=benchmark,
        task=task,
        metric=metric,
        published=published,
        measured=measured,
        delta=delta,
        interval=interval,
        documents=documents,
        verdict=cell.verdict,
        reasons=tuple(reason.text for reason in cell.reasons),
        mark=_mark(cell, reach),
    )


def _mark(cell: CellComparison, reach: float) -> Mark | None:
    if cell.delta is None or cell.delta_low is None or cell.delta_high is None:
        return None
    ends = f"{100 * cell.delta_low:+.1f} to {100 * cell.delta_high:+.1f}"
    label = f"{100 * cell.delta:+.1f} points, 95 % interval {ends}"
    return delta_mark(cell.delta, cell.delta_low, cell.delta_high, reach, label)
