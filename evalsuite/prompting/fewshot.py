"""Which rows become the shots of which document.

A draw depends on the whole split and never on a limit, a worker count or an order: it is made for
every document, and the wanted documents are picked afterwards.
"""

from collections.abc import Sequence
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
        # lm-eval 0.4: `sample` on a list and on a range of its length pick the same places.
        stream = Random(shots.seed)
        drawn = [[pool[place] for place in stream.sample(range(len(pool)), wanted)] for _ in documents]
    elif shots.draw == "first":
        drawn = [list(pool[:wanted])] * len(documents)
    else:
        drawn = [[pool[row] for row in shots.fixed_rows(member)]] * len(documents)
    if not spare:
        return drawn
    return [
        [row for row in rows if row != document][: shots.count]
        for rows, document in zip(drawn, documents, strict=True)
    ]
