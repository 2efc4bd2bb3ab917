"""BoolQ (Clark et al. 2019, arXiv:1905.10044): yes or no, after a titled passage (SuperGLUE)."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row


def question(row: Row) -> MultipleChoice:
    return MultipleChoice(row["question"], ("no", "yes"), row["label"])


TASKS = [
    Task(
        name="boolq",
        title="yes or no, after a passage",
        data=DatasetRef(
            "aps/super_glue",
            ("question", "passage", "label"),
            "boolq",
            splits={
                "train": Pin(9427, "f2a6a03ee80388b365e2ac1d4bdd7b63e0686f0265949a06f80ca28fa3d531a0"),
                "validation": Pin(3270, "8b4e2455903036e07e5f880f4d41d25597a3c3b5160b1e1ee788bd44acf4d22e"),
            },
        ),
        split="validation",
        question=question,
        chance=0.5,
        comparability=1,
    )
]
