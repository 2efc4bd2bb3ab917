"""WebQuestions (Berant et al. 2013): factual questions with all accepted answers from Freebase."""

from collections.abc import Iterable

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import OpenAnswer, Row


def without_extensions(aliases: Iterable[str]) -> tuple[str, ...]:
    """The sorted aliases without those that start with another: a text with the longer has the shorter."""
    kept: list[str] = []
    for alias in sorted(aliases):
        if not kept or not alias.startswith(kept[-1]):
            kept.append(alias)
    return tuple(kept)


def question(row: Row) -> OpenAnswer:
    return OpenAnswer(row["question"], without_extensions(row["answers"]))


TASKS = [
    Task(
        name="webqs",
        title="factual questions, no passage",
        data=DatasetRef(
            "stanfordnlp/web_questions",
            ("question", "answers"),
            splits={
                "train": Pin(3778, "66efdac8902ab40cb68395356f347151c7e8e6744e21ecd1054f509313781b3b"),
                "test": Pin(2032, "b3334e32dc48497788422c9f75f031111683bb1ec3e6432ee3cfbca63463605d"),
            },
        ),
        split="test",
        question=question,
        chance=None,
        comparability=1,
    )
]
