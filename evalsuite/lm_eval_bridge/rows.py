"""lm-eval's documents as evalsuite's rows and questions; the same from a loaded data set and from a samples
file."""

import json
from collections.abc import Mapping
from typing import Any

from evalsuite.types import MultipleChoice, OpenAnswer, Question, Row


def plain_row(doc: Any) -> Row:
    """A document as its JSON has it (lm-eval writes samples with the same rule for what JSON does not
    know)."""
    from lm_eval.utils import handle_non_serializable

    plain = json.loads(json.dumps(doc, default=handle_non_serializable))
    return plain if isinstance(plain, dict) else {"doc": plain}


def question_of(task: Any, doc: Any) -> Question:
    """What is known of a document's right answer: the index of a choice, or the target as text."""
    target = task.doc_to_target(doc)
    if task.OUTPUT_TYPE == "multiple_choice" and hasattr(task, "doc_to_choice"):
        gold = task.doc_to_text(doc) if getattr(task, "multiple_input", 0) else target
        return question_from(list(map(str, task.doc_to_choice(doc))), gold)
    return question_from(None, target)


def question_from(choices: list[str] | None, target: Any) -> Question:
    """The same from the parts that a results file holds."""
    if choices is not None:
        place = choices.index(target) if isinstance(target, str) and target in choices else target
        if isinstance(place, int) and not isinstance(place, bool) and 0 <= place < len(choices):
            return MultipleChoice("", tuple(choices), place)
    answers = target if isinstance(target, list | tuple) and target else [target]
    return OpenAnswer("", tuple(_text(one) for one in answers))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def is_number(value: Any) -> bool:
    """Whether a metric's value of one document is a number (numpy's included), not a part of a corpus-level
    score."""
    return (
        not isinstance(value, str | Mapping | list | tuple)
        and hasattr(value, "__float__")
        and _is_scalar(value)
    )


def _is_scalar(value: Any) -> bool:
    return getattr(value, "ndim", 0) == 0
