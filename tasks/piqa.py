"""PIQA (Bisk et al. 2020, arXiv:1911.11641): which of two solutions reaches a physical goal."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row


def question(row: Row) -> MultipleChoice:
    return MultipleChoice(row["goal"], (row["sol1"], row["sol2"]), row["label"])


TASKS = [
    Task(
        name="piqa",
        title="which solution reaches a physical goal",
        data=DatasetRef(
            "ybisk/piqa",
            ("goal", "sol1", "sol2", "label"),
            "plain_text",
            splits={
                "train": Pin(16113, "a1643b9b2242bd0f831f2b1044eb8831436b236fd06f60cec6ec9817c58768d4"),
                "validation": Pin(1838, "256cd78377a0090efcbc05662c15821c9b60f98a708bf48115d0d9af80c67313"),
            },
        ),
        split="validation",
        question=question,
        chance=0.5,
        comparability=1,
    )
]
