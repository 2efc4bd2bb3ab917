"""Which rows become the shots of which document.

A draw depends on the whole split and never on a limit, a worker count or an order: it is made for
every document, and the wanted documents are picked afterwards.
"""

from collections.abc import Sequence
from itertools import islice
from random import Random

from evalsuite.errors import DataError
from evalsuite.prompting.spec import Shots
from evalsuite.types import Row


def draw_shots(
    shots: Shots, documents: Sequence[Row], pool: Sequence[Row], same_split: bool = False, member: str = ""
) -> list[list[Row]]:
    """Shots of each document, in prompt order.

    Args:
        shots: how they are drawn.
        documents: every row of the evaluated (member) split, in order.
        pool: every row that may be shown, in order.
        same_split: the documents are in the pool (`--split`): no document is shown its own answer.
        member: the member task that they belong to.

    Raises:
        DataError: the pool has too few rows.
    """
    spare = shots.count > 0 and (same_split or (shots.spare and shots.draw == "seeded"))
    wanted = shots.count + spare
    if shots.draw == "fixed":
        wanted = max(shots.fixed_rows(member), default=-1) + 1
    if wanted > len(pool):
        raise DataError(
            f"{shots.count} shots need {wanted} rows of split '{shots.split}'; it has {len(pool)}."
        )
    if shots.draw == "seeded":
        return _seeded(shots, documents, pool, wanted)
    listed = shots.fixed_rows(member) if shots.draw == "fixed" else range(wanted)
    if not spare:
        return [[pool[row] for row in listed]] * len(documents)
    # The first rows after the shown ones take the document's place: those that the spec lists, then the
    # split's.
    ordered = dict.fromkeys([*listed, *shots.spare_rows(member), *range(len(pool))])
    return [
        list(islice((pool[row] for row in ordered if pool[row] != document), shots.count))
        for document in documents
    ]


def _seeded(shots: Shots, documents: Sequence[Row], pool: Sequence[Row], wanted: int) -> list[list[Row]]:
    """lm-eval 0.4.13's stream (`api/samplers.py`): `sample` on a list and on a range of its length pick the
    same rows."""
    stream = Random(shots.seed)
    drawn = []
    for document in documents:
        rows = [pool[place] for place in stream.sample(range(len(pool)), wanted)]
        if wanted > shots.count:
            rows = [row for row in rows if row != document][: shots.count]
            if len(rows) < shots.count:  # The document is in the pool more than once, and was drawn so.
                others = [row for row in pool if row != document]
                rows = stream.sample(others, min(shots.count, len(others)))
        drawn.append(rows)
    return drawn
