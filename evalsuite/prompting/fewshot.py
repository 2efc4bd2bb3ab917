"""Which rows become the shots of which document.

A draw depends on the whole split and never on a limit, a worker count or an order: it is made for
every document, and the wanted documents are picked afterwards.
"""

from collections.abc import Sequence
from random import Random

from evalsuite.errors import DataError
from evalsuite.prompting.spec import Shots
from evalsuite.types import Row


def draw_shots(shots: Shots, documents: Sequence[Row], pool: Sequence[Row]) -> list[list[Row]]:
    """Shots of each document, in prompt order.

    Args:
        shots: how they are drawn.
        documents: every row of the evaluated (member) split, in order.
        pool: every row that may be shown, in order.

    Raises:
        DataError: the pool has too few rows.
    """
    wanted = shots.count + 1 if shots.spare and shots.draw == "seeded" else shots.count
    if shots.draw == "fixed":
        wanted = max(shots.rows[: shots.count], default=-1) + 1
    if wanted > len(pool):
        raise DataError(
            f"{shots.count} shots need {wanted} rows of split '{shots.split}'; it has {len(pool)}."
        )
    if shots.draw == "first":
        return [list(pool[: shots.count])] * len(documents)
    if shots.draw == "fixed":
        return [[pool[row] for row in shots.rows[: shots.count]]] * len(documents)
    return _seeded(shots, documents, pool, wanted)


def _seeded(shots: Shots, documents: Sequence[Row], pool: Sequence[Row], drawn: int) -> list[list[Row]]:
    """The stream of lm-eval 0.4: `sample` on a list and on a range of its length pick the same places."""
    stream = Random(shots.seed)
    drawn_rows = [[pool[place] for place in stream.sample(range(len(pool)), drawn)] for _ in documents]
    if not shots.spare:
        return drawn_rows
    return [
        [row for row in rows if row != document][: shots.count]
        for rows, document in zip(drawn_rows, documents, strict=True)
    ]
