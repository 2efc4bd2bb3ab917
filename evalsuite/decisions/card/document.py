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
    """Part of a sentence, without a full stop."""


class CellComparison(Strict):
    """One published number beside the run's."""

    benchmark: str
    """As printed."""
    address: str
    """Task address that reproduces the number; empty where none is known."""
    published: float
    printed: str
    """The number with its printed decimals, in the publication's unit."""
    rounding: float
    """Half a unit of the last printed decimal."""
    published_low: float | None
    """95 % interval of the published number: rounding and, where its number of documents is known,
    sampling."""
    published_high: float | None
    published_documents: int | None
    task: str | None
    """Name of the run's task that stands beside it; None where the run has none."""
    metric: str | None
    measured: float | None
    low: float | None
    """95 % interval of the measured score."""
    high: float | None
    documents: int | None
    delta: float | None
    delta_low: float | None
    """95 % interval of the delta, with the errors of both numbers taken as independent."""
    delta_high: float | None
    verdict: CellVerdict
    reasons: tuple[Reason, ...]
    """Why it is not comparable."""

    @property
    def verdict_text(self) -> str:
        """The verdict with its reasons."""
        if self.verdict != "not comparable":
            return self.verdict
        return f"not comparable, because {'; '.join(reason.text for reason in self.reasons)}"


class CardComparison(Strict):
    """A run beside one model's numbers in one publication."""

    schema_version: Literal[1] = 1
    evalsuite_version: str
    card: str
    title: str
    source: str
    model: str
    """Whose published numbers these are."""
    run: RunInfo
    accept_inferred: bool
    """Settings that are inferred or left open were taken as if the publication stated them."""
    cells: tuple[CellComparison, ...]
    notes: tuple[str, ...]

    def cell(self, benchmark: str) -> CellComparison:
        """The first cell of a benchmark, as printed; KeyError if there is none."""
        for one in self.cells:
            if one.benchmark == benchmark:
                return one
        raise KeyError(benchmark)

    def to_pandas(self) -> "pd.DataFrame":
        """One row per cell."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            cell.model_dump(exclude={"reasons"}) | {"reasons": "; ".join(one.text for one in cell.reasons)}
            for cell in self.cells
        ]
        return pd.DataFrame(rows)
