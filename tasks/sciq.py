"""SciQ (Welbl et al. 2017, arXiv:1707.06209): science questions, with a paragraph that helps."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row


def question(row: Row) -> MultipleChoice:
    wrong = (row["distractor1"], row["distractor2"], row["distractor3"])
    return MultipleChoice(row["question"], (*wrong, row["correct_answer"]), len(wrong))


TASKS = [
    Task(
        name="sciq",
        title="science questions with a paragraph",
        data=DatasetRef(
            "allenai/sciq",
            ("question", "distractor1", "distractor2", "distractor3", "correct_answer", "support"),
            # Train and test are not pinned: no copy was available.
            splits={
                "validation": Pin(1000, "4e291b5c9fdd9a0b01f1389aef0b025decf90f2612f9194d8b3f24b29f553b46"),
            },
        ),
        split="test",
        question=question,
        chance=0.25,
        comparability=1,
    )
]
