"""A comparison with published numbers for the terminal and as Markdown.

Public names: `card_rows`, `card_table`, `card_markdown`.
"""

from rich.table import Table

from evalsuite.decisions.card.document import CardComparison, CellComparison
from evalsuite.results.markdown import markdown_escape, markdown_list, markdown_table_lines

COLUMNS = ("benchmark", "task", "metric", "published", "measured", "delta", "95 % interval", "n", "verdict")
_LEFT = ("benchmark", "task", "metric", "verdict")


def card_rows(comparison: CardComparison) -> list[tuple[str, ...]]:
    """One row per published number; scores in points, the published one as printed."""
    return [
        (
            cell.benchmark,
            cell.task or "—",
            cell.metric or "—",
            cell.printed,
            _points(cell.measured),
            _points(cell.delta, signed=True),
            _interval(cell),
            "—" if cell.documents is None else str(cell.documents),
            cell.verdict_text,
        )
        for cell in comparison.cells
    ]


def card_table(comparison: CardComparison) -> Table:
    """The table for `cli.console`."""
    run = comparison.run
    table = Table(
        title=f"{run.label} · {run.numerics} against {comparison.model} · {comparison.title}",
        title_justify="left",
        caption_justify="left",
    )
    for column in COLUMNS:
        table.add_column(
            column, justify="left" if column in _LEFT else "right", no_wrap=column not in ("verdict", "task")
        )
    styles = {"agrees": "green", "differs": "red", "not comparable": "dim"}
    for row, cell in zip(card_rows(comparison), comparison.cells, strict=True):
        table.add_row(*row, style=styles[cell.verdict])
    return table


def card_markdown(comparison: CardComparison) -> str:
    """The table with its notes in Markdown."""
    lines = [
        f"# {markdown_escape(f'{comparison.run.label} against {comparison.model}')}",
        "",
        f"Published: {markdown_escape(f'{comparison.title} ({comparison.source})')}.",
        "",
        *markdown_table_lines(COLUMNS, _LEFT, card_rows(comparison)),
        "",
        *markdown_list(comparison.notes),
        *markdown_list(
            [
                f"Model {comparison.run.model}, weights {comparison.run.weights_sha256[:12]}, "
                f"{comparison.run.numerics}; evalsuite {comparison.run.evalsuite_version}."
            ]
        ),
    ]
    return "\n".join(lines) + "\n"


def _points(value: float | None, *, signed: bool = False) -> str:
    return "—" if value is None else f"{100 * value:{'+' if signed else ''}.2f}"


def _interval(cell: CellComparison) -> str:
    if cell.delta_low is None or cell.delta_high is None:
        return "—"
    return f"{100 * cell.delta_low:+.1f} to {100 * cell.delta_high:+.1f}"
