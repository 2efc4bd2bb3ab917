"""TriviaQA (Joshi et al. 2017, arXiv:1705.03551): trivia with all accepted aliases, no passage."""

from evalsuite.data.refs import DatasetRef, Pin, StandIn
from evalsuite.task import Task
from evalsuite.types import OpenAnswer, Row


def question(row: Row) -> OpenAnswer:
    return OpenAnswer(row["question"], tuple(row["answer"]["aliases"]))


TASKS = [
    Task(
        name="triviaqa",
        title="trivia, no passage",
        data=DatasetRef(
            "mandarjoshi/trivia_qa",
            ("question", "answer"),
            "rc.nocontext",
            # Not pinned: no copy was available.
            stand_ins={
                "validation": StandIn(
                    "rc.wikipedia.nocontext",
                    Pin(7993, "68402e2cc0525319fee4c94a0579868ec9e71c85f8fd91544aee3bce999d6a55"),
                    "The 7,993 questions with evidence from Wikipedia stand for all: the score is not "
                    "comparable with a published number.",
                )
            },
        ),
        split="validation",
        question=question,
        chance=None,
        comparability=1,
    )
]
