"""GPQA-Diamond (Rein et al. 2023, arXiv:2311.12022): questions of experts in biology, physics and chemistry.

The authors ask that its questions are not shown in public in clear text; the hub gives them on request.
"""

import re

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row

DATA = DatasetRef(
    "Idavidrein/gpqa",
    (
        "Question",
        "Incorrect Answer 1",
        "Incorrect Answer 2",
        "Incorrect Answer 3",
        "Correct Answer",
        "Explanation",
    ),
    "gpqa_diamond",
    splits={"train": Pin(198)},  # the only split; its content is not pinned: no copy was available
)
OPTIONS = DATA.columns[1:5]
"""Columns of the options, the right one last."""


def question(row: Row) -> MultipleChoice:
    return MultipleChoice(row["Question"], tuple((row[name] or "").strip() for name in OPTIONS), 3)


def question_with_cleaned_options(row: Row) -> MultipleChoice:
    """As nvidia-lm-eval 26.3 (`adlr_gpqa_cot_5_shot/utils.py`); of equal options, the first one is right."""
    options = tuple(cleaned(row[name]) for name in OPTIONS)
    return MultipleChoice(row["Question"], options, options.index(options[3]))


def cleaned(option: str | None) -> str:
    """The option without brackets and their content, which damages the names of some substances."""
    if option is None:
        return " "
    unmarked = option.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", unmarked).replace("  ", " ")


TASKS = [
    Task(
        name="gpqa_diamond",
        title="experts' questions in natural science",
        data=DATA,
        split="train",
        question=question,
        chance=0.25,
        comparability=1,
    ),
    Task(
        name="gpqa_diamond_cleaned",
        title="experts' questions in natural science, brackets removed",
        data=DATA,
        split="train",
        question=question_with_cleaned_options,
        chance=None,  # the right option is nearly always the last one
        comparability=1,
    ),
]
