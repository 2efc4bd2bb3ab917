"""Formats scores and deltas as text, and as marks on an axis.

Public names: `Mark`, `in_points`, `span`, `score_mark`, `delta_mark`, `count`, `duration`.
"""

from dataclasses import dataclass

DASH = "—"


@dataclass(frozen=True, slots=True)
class Mark:
    """A dot with its interval on a horizontal axis; positions in percent of the width."""

    dot: float
    start: float
    end: float
    guide: float | None
    """Position of the reference line: chance, or no difference."""
    label: str
    """Text for screen readers."""


def in_points(value: float | None, *, loss: bool = False, signed: bool = False, digits: int = 2) -> str:
    """The value in points of 100, or in the metric's own unit for a loss."""
    if value is None:
        return DASH
    return f"{value if loss else 100 * value:{'+' if signed else ''}.{digits + 2 if loss else digits}f}"


def span(low: float | None, high: float | None, *, loss: bool = False, digits: int = 1) -> str:
    """An interval as text."""
    if low is None or high is None:
        return DASH
    return f"{in_points(low, loss=loss, digits=digits)} to {in_points(high, loss=loss, digits=digits)}"


def score_mark(value: float, low: float | None, high: float | None, chance: float | None = None) -> Mark:
    """The mark of a score on an axis from 0 to 100."""
    label = f"{in_points(value, digits=1)}"
    if low is not None and high is not None:
        label += f", 95 % interval {span(low, high)}"
    if chance is not None:
        label += f", chance {in_points(chance, digits=1)}"
    return Mark(
        dot=_percent(value),
        start=_percent(value if low is None else low),
        end=_percent(value if high is None else high),
        guide=None if chance is None else _percent(chance),
        label=label,
    )


def delta_mark(delta: float, low: float | None, high: float | None, reach: float, label: str) -> Mark:
    """The mark of a delta on an axis from `-reach` to `+reach`."""

    def position(value: float | None) -> float:
        return _percent(0.5 + 0.5 * (delta if value is None else value) / (reach or 1.0))

    return Mark(dot=position(delta), start=position(low), end=position(high), guide=50.0, label=label)


def count(number: float) -> str:
    """A whole number with separated thousands."""
    return f"{number:,.0f}"


def duration(seconds: float) -> str:
    """Seconds as hours, minutes and seconds."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _percent(fraction: float) -> float:
    return round(100 * min(max(fraction, 0.0), 1.0), 3)
