"""Compares a run with published numbers.

Public names: `compare_with_card`, `delta_interval`, `published_interval`.
"""

import math
from importlib import metadata
from pathlib import Path

from evalsuite.decisions.card.card import Card, Cell, load_card
from evalsuite.decisions.card.comparable import Installed, reasons_against
from evalsuite.decisions.card.document import CardComparison, CellComparison, CellVerdict, Reason
from evalsuite.decisions.compare.document import RunInfo
from evalsuite.errors import UnknownName, UserError
from evalsuite.results.read import RunSide, open_run
from evalsuite.results.runlog import MetricRecord, TaskRecord
from evalsuite.stats.intervals import CONFIDENCE, Z

Interval = tuple[float, float]


def compare_with_card(
    run: str | Path, card: str | Card, *, model: str | None = None, accept_inferred: bool = False
) -> CardComparison:
    """Compare every published number of a model with the run's score, with a verdict.

    Args:
        run: run folder or `run.json`.
        card: name of a registered card, path of a YAML file, or a card.
        model: model of the card, needed if the card has several models and the run's is not among them.
        accept_inferred: treat inferred and open settings as stated ones.

    Raises:
        UserError: the run or card cannot be read, or the model is not on the card.
    """
    side = open_run(Path(run))
    numbers = load_card(card) if isinstance(card, str) else card
    chosen = _model(numbers, side, model)
    installed = Installed()
    cells = tuple(
        _cell(numbers, cell, value, side.log.tasks, installed, accept_inferred)
        for cell, value in numbers.of_model(chosen)
    )
    return CardComparison(
        evalsuite_version=metadata.version("evalsuite"),
        card=numbers.name,
        title=numbers.title,
        source=numbers.source,
        model=chosen,
        run=_info(side),
        accept_inferred=accept_inferred,
        cells=cells,
        notes=tuple(_notes(numbers, chosen, side, cells, accept_inferred)),
    )


def published_interval(value: float, half_unit: float, documents: int | None) -> Interval:
    """95 % interval of a printed fraction.

    The sampling error is Wilson's interval of `value` at `documents`, which is too wide for means over
    several samples per document. The rounding error is uniform within half a unit on both sides, with
    variance half_unit^2 / 3. Both errors are added in squares.
    """
    low = high = value
    if documents:
        from statsmodels.stats.proportion import proportion_confint

        low, high = proportion_confint(value * documents, documents, alpha=1 - CONFIDENCE, method="wilson")
    rounding = Z * half_unit / math.sqrt(3)
    return (
        max(0.0, value - math.hypot(value - float(low), rounding)),
        min(1.0, value + math.hypot(float(high) - value, rounding)),
    )


def delta_interval(measured: float, here: Interval, published: float, there: Interval) -> Interval:
    """95 % interval of measured minus published, from the two intervals.

    The squared distances to the limits are added (Newcombe 1998, Statistics in Medicine 17:873, method 10),
    as if the two errors were independent. For one model on the same documents they are correlated, by an
    amount that a printed number does not tell; the interval is then too wide, never too narrow.
    """
    delta = measured - published
    low = delta - math.hypot(measured - here[0], there[1] - published)
    high = delta + math.hypot(here[1] - measured, published - there[0])
    return max(-1.0, low), min(1.0, high)


def _cell(
    card: Card,
    cell: Cell,
    value: float,
    tasks: tuple[TaskRecord, ...],
    installed: Installed,
    accept_inferred: bool,
) -> CellComparison:
    task, reasons = _nearest(cell, tasks, installed, accept_inferred)
    published, digits = value / cell.scale, card.digits_of(cell)
    half_unit = 0.5 * 10.0**-digits / cell.scale
    split = task.data.get(task.split) if task else None
    documents = cell.setting.documents or (split.rows if split else None)
    there = published_interval(published, half_unit, documents)
    name, metric = _metric(cell, task)
    delta: tuple[float, float, float] | None = None
    if metric is not None and metric.low is not None and metric.high is not None:
        here = (metric.low, metric.high)
        delta = (metric.value - published, *delta_interval(metric.value, here, published, there))
    elif metric is not None:
        reasons.append(Reason(kind="no_score", text="a single document gives no interval"))
    verdict: CellVerdict = "not comparable"
    if delta is not None and not reasons:
        verdict = "agrees" if delta[1] <= 0 <= delta[2] else "differs"
    return CellComparison(
        benchmark=cell.benchmark,
        address=cell.address,
        published=published,
        printed=f"{value:.{digits}f}",
        rounding=half_unit,
        published_low=there[0],
        published_high=there[1],
        published_documents=documents,
        task=task.name if task else None,
        metric=name,
        measured=metric.value if metric else None,
        low=metric.low if metric else None,
        high=metric.high if metric else None,
        documents=metric.n if metric else None,
        delta=delta[0] if delta else None,
        delta_low=delta[1] if delta else None,
        delta_high=delta[2] if delta else None,
        verdict=verdict,
        reasons=tuple(reasons),
    )


def _nearest(
    cell: Cell, tasks: tuple[TaskRecord, ...], installed: Installed, accept_inferred: bool
) -> tuple[TaskRecord | None, list[Reason]]:
    """The run's task with the fewest reasons against it, and these reasons; the first task wins ties."""
    found = [
        (task, reasons_against(cell, task, installed, accept_inferred))
        for task in tasks
        if task.task in cell.task
    ]
    if found:
        return min(found, key=lambda match: len(match[1]))
    address = cell.address
    hint = f" ({address} reproduces it)" if address and installed.spec(address) else ""
    text = (
        f"the run has no task {' or '.join(cell.task)}{hint}" if cell.task else "evalsuite has no such task"
    )
    return None, [Reason(kind="no_task", text=text)]


def _metric(cell: Cell, task: TaskRecord | None) -> tuple[str | None, MetricRecord | None]:
    """The published metric, or else the run's headline metric."""
    if task is None:
        return None, None
    name = next((name for name in cell.setting.metric if name in task.metrics), task.headline)
    return name, task.metrics.get(name)


def _model(card: Card, side: RunSide, asked: str | None) -> str:
    by_name = {name.casefold(): name for name in card.models}
    if asked is not None:
        if asked.casefold() not in by_name:
            raise UnknownName("model", asked, card.models, f"Card {card.name} has {', '.join(card.models)}.")
        return by_name[asked.casefold()]
    here = _hub_id(side)
    own = by_name.get(here.casefold())
    if own is None and len(card.models) > 1:
        raise UserError(
            f"Card {card.name} has no numbers of the run's model {here}; choose a model with --model: "
            f"{', '.join(card.models)}."
        )
    return own or card.models[0]


def _hub_id(side: RunSide) -> str:
    """The hub id of the run's model; aliases are resolved."""
    from evalsuite.checkpoints import aliases

    known = aliases().get(side.log.model.id)
    return known.hub_id if known else side.log.model.id


def _notes(
    card: Card, model: str, side: RunSide, cells: tuple[CellComparison, ...], accept_inferred: bool
) -> list[str]:
    notes = [card.notes] if card.notes else []
    here = _hub_id(side)
    if here.casefold() != model.casefold():
        notes.append(f"The run evaluates {here}; the published numbers are of {model}.")
    comparable = sum(cell.verdict != "not comparable" for cell in cells)
    notes.append(
        f"{comparable} of {len(cells)} published numbers are comparable with this run."
        + (" One in twenty equal scores differs by chance." if comparable > 1 else "")
    )
    if comparable:
        notes.append(
            "The intervals include the sampling errors of both sides, as independent, and the rounding. "
            "Differences smaller than half an interval's width cannot be detected."
        )
    if accept_inferred:
        notes.append("Inferred and open settings of the published numbers were treated as stated.")
    return notes


def _info(side: RunSide) -> RunInfo:
    log = side.log
    return RunInfo(
        path=str(side.path),
        label=log.spec.model,
        model=log.model.id,
        weights_sha256=log.model.weights_sha256,
        numerics=log.model.numerics,
        evalsuite_version=log.evalsuite_version,
        started=log.started,
    )
