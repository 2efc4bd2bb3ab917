"""Draws the shots of each document.

Shots depend on the whole split, and never on a limit, a worker count or an order: they are drawn for all
documents, and the evaluated documents are selected afterwards.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random

from evalsuite.errors import DataError
from evalsuite.prompting.shots import Shots
from evalsuite.types import Row


def draw_shots(
    shots: Shots, documents: Sequence[Row], pool: Sequence[Row], same_split: bool = False, member: str = ""
) -> list[list[Row]]:
    """Shots of each document, in prompt order.

    Args:
        shots: the spec of the shots.
        documents: all rows of the evaluated (member) split, in order.
        pool: all rows that may become shots, in order.
        same_split: whether the documents are in the pool (`--split`); a document is never its own shot.
        member: the documents' member task.

    Raises:
        DataError: the pool has too few rows.
    """
    spare = shots.count > 0 and (same_split or (shots.spare and shots.draw == "seeded"))
    needed = shots.count + spare
    if shots.draw == "fixed":
        needed = max(shots.fixed_rows(member), default=-1) + 1
    if needed > len(pool):
        raise DataError(
            f"{shots.count} shots need {needed} rows of split '{shots.split}'; it has {len(pool)}."
        )
    if shots.draw in ("by_document", "llm_foundry"):
        if not same_split:
            raise DataError(f"The draw '{shots.draw}' takes shots from the evaluated split, '{shots.split}'.")
        draw = _by_document if shots.draw == "by_document" else _llm_foundry
        return [[pool[index] for index in row] for row in draw(shots, len(pool))]
    if shots.draw == "seeded":
        return _seeded(shots, documents, pool, needed)
    listed = shots.fixed_rows(member) if shots.draw == "fixed" else range(needed)
    if not spare:
        return [[pool[row] for row in listed]] * len(documents)
    # If the document itself is a shot, the next row replaces it: first from the spec's list, then of the
    # split.
    ordered = dict.fromkeys([*listed, *shots.spare_rows(member), *range(len(pool))])
    return [
        list(islice((pool[row] for row in ordered if pool[row] != document), shots.count))
        for document in documents
    ]


def _seeded(shots: Shots, documents: Sequence[Row], pool: Sequence[Row], needed: int) -> list[list[Row]]:
    """Draw as lm-eval 0.4.13 (`api/samplers.py`); `sample` picks the same rows of a list and of its range."""
    stream = Random(shots.seed)
    drawn = []
    for document in documents:
        rows = [pool[index] for index in stream.sample(range(len(pool)), needed)]
        if needed > shots.count:
            rows = [row for row in rows if row != document][: shots.count]
            if len(rows) < shots.count:  # The pool contains the document several times, and so did the draw.
                others = [row for row in pool if row != document]
                rows = stream.sample(others, min(shots.count, len(others)))
        drawn.append(rows)
    return drawn


def _by_document(shots: Shots, size: int) -> Iterator[list[int]]:
    """Rows of each document's shots as nanochat draws them (`core_eval.py`, `evaluate_example`).

    The reference samples a list without the document; the same places of a range are moved past it.
    """
    for document in range(size):
        places = Random(shots.seed + document).sample(range(size - 1), shots.count)
        yield [place + (place >= document) for place in places]


def _llm_foundry(shots: Shots, size: int) -> Iterator[list[int]]:
    """Rows of each document's shots as llm-foundry 0.9.0 draws them (`get_fewshot_sample_idxs`).

    The reference keeps them in a set of integers, whose iteration gives the order in the prompt.
    """
    stream = Random(shots.seed)
    for document in range(size):
        rows = set(stream.sample(range(size), shots.count))
        rows.discard(document)
        while len(rows) < shots.count:
            row = stream.choice(range(size))
            if row != document:
                rows.add(row)  # `update` would give the set another order
        yield list(rows)
