"""LAMBADA (Paperno et al. 2016, arXiv:1606.06031): the last word of a passage.

There are two versions: OpenAI's (raw text with punctuation) and the authors' (lower-case, tokenised).
"""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import OpenAnswer, Row


def question(row: Row) -> OpenAnswer:
    before, _, last = row["text"].rpartition(" ")
    return OpenAnswer(before, (last,))


def lambada(name: str, title: str, data: DatasetRef) -> Task:
    return Task(
        name=name, title=title, data=data, split="test", question=question, chance=None, comparability=1
    )


TASKS = [
    lambada(
        "lambada_openai",
        "the last word of a passage, OpenAI's text",
        DatasetRef(
            "EleutherAI/lambada_openai",
            ("text",),
            splits={"test": Pin(5153, "05ae9755847286957976eca1a513750eeb542019e97af8837baa488483398d78")},
        ),
    ),
    lambada(
        "lambada_standard",
        "the last word of a passage, the authors' text",
        # Not pinned: no copy was available.
        DatasetRef("cimec/lambada", ("text",), "plain_text"),
    ),
]
