"""The comparison of a run with published numbers as one typed, versioned document.

Public names: `CardComparison`, `CellComparison`, `Reason`, `CellVerdict`. Scores and deltas are fractions; a
delta is measured minus published.
"""

from typing import TYPE_CHECKING, Any, Literal

from evalsuite.decisions.compare.document import RunInfo
from evalsuite.files.strict import Strict

if TYPE_CHECKING:
    import pandas as pd

CellVerdict = Literal["agrees", "differs", "not comparable"]
ReasonKind = Literal[
    "no_task",
    "no_score",
    "shots",
    "form",
    "metric",
    "split",
    "aggregation",
    "sampling",
    "subset",
    "data",
    "recipe",
    "prompt",
    "unstated",
    "undecided",
    "inferred",
]


class Reason(Strict):
    """Why a cell and a task cannot be compared."""

    kind: ReasonKind
    text: str
    """Clause of a sentence, without a full stop."""


class CellComparison(Strict):
    """A published number and the run's score."""

    benchmark: str
    """Name of the benchmark, as printed."""
    address: str
    """Task address that reproduces the number; empty if none is known."""
    published: float
    printed: str
    """The number with its printed decimals, in the publication's unit."""
    rounding: float
    """Half a unit of the last printed decimal."""
    published_low: float | None
    """95 % interval of the published number: rounding and, if the documents are known, sampling error."""
    published_high: float | None
    published_documents: int | None
    task: str | None
    """Name of the run's task; None if the run has no such task."""
    metric: str | None
    measured: float | None
    low: float | None
    """95 % interval of the measured score."""
    high: float | None
    documents: int | None
    delta: float | None
    delta_low: float | None
    """95 % interval of the delta, for independent errors of both numbers."""
    delta_high: float | None
    verdict: CellVerdict
    reasons: tuple[Reason, ...]
    """Reasons why the numbers are not comparable."""

    @property
    def verdict_text(self) -> str:
        """The verdict with its reasons."""
        if self.verdict != "not comparable":
            return self.verdict
        return f"not comparable, because {'; '.join(reason.text for reason in self.reasons)}"


class CardComparison(Strict):
    """A run compared with a model's numbers in a publication."""

    schema_version: Literal[1] = 1
    evalsuite_version: str
    card: str
    title: str
    source: str
    model: str
    """Model of the published numbers."""
    run: RunInfo
    accept_inferred: bool
    """Whether inferred and open settings were treated as stated."""
    cells: tuple[CellComparison, ...]
    notes: tuple[str, ...]

    def cell(self, benchmark: str) -> CellComparison:
        """The first cell of a benchmark by its printed name; KeyError if there is none."""
        for cell in self.cells:
            if cell.benchmark == benchmark:
                return cell
        raise KeyError(benchmark)

    def to_pandas(self) -> "pd.DataFrame":
        """One row per cell."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            cell.model_dump(exclude={"reasons"}) | {"reasons": "; ".join(r.text for r in cell.reasons)}
            for cell in self.cells
        ]
        return pd.DataFrame(rows)
