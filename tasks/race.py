"""RACE (Lai et al. 2017, arXiv:1704.04683): English exams of Chinese high schools; an article's last problem.

The data set of EleutherAI has one row per article with all of its problems.
"""

from ast import literal_eval

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row


def question(row: Row) -> MultipleChoice:
    """The article's last problem; prompts show the article and the other problems from the row."""
    last = literal_eval(row["problems"])[-1]
    return MultipleChoice(last["question"], tuple(last["options"]), ord(last["answer"]) - ord("A"))


TASKS = [
    Task(
        name="race",
        title="questions on an article, high school",
        data=DatasetRef(
            "EleutherAI/race",
            ("article", "problems"),
            "high",
            splits={"test": Pin(1045)},  # its content is not pinned: no copy was available
        ),
        split="test",
        question=question,
        chance=0.25,
        comparability=1,
    )
]
