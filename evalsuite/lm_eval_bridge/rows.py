"""Converts lm-eval's documents, from a dataset or a samples file, to evalsuite's rows and questions."""

import json
from collections.abc import Mapping
from typing import Any

from evalsuite.types import MultipleChoice, OpenAnswer, Question, Row


def plain_row(doc: Any) -> Row:
    """A document as JSON values, with lm-eval's rule for values that JSON cannot represent."""
    from lm_eval.utils import handle_non_serializable

    plain = json.loads(json.dumps(doc, default=handle_non_serializable))
    return plain if isinstance(plain, dict) else {"doc": plain}


def harness_question(task: Any, doc: Any) -> Question:
    """The question with the gold answer: the index of a choice, or the target as text."""
    target = task.doc_to_target(doc)
    if task.OUTPUT_TYPE == "multiple_choice" and hasattr(task, "doc_to_choice"):
        gold = task.doc_to_text(doc) if getattr(task, "multiple_input", 0) else target
        return question_from(list(map(str, task.doc_to_choice(doc))), gold)
    return question_from(None, target)


def question_from(choices: list[str] | None, target: Any) -> Question:
    """The question from choices and target, as a results file has them."""
    if choices is not None:
        index = choices.index(target) if isinstance(target, str) and target in choices else target
        if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(choices):
            return MultipleChoice("", tuple(choices), index)
    answers = target if isinstance(target, list | tuple) and target else [target]
    return OpenAnswer("", tuple(map(_text, answers)))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def is_number(value: Any) -> bool:
    """Whether a document's metric value is a number (also of numpy), not a part of a corpus-level score."""
    return (
        not isinstance(value, str | Mapping | list | tuple)
        and hasattr(value, "__float__")
        and _is_scalar(value)
    )


def _is_scalar(value: Any) -> bool:
    return getattr(value, "ndim", 0) == 0
