"""NQ-open (Lee et al. 2019, arXiv:1906.00300): Natural Questions with short answers, no passage."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import OpenAnswer, Row


def question(row: Row) -> OpenAnswer:
    return OpenAnswer(row["question"], tuple(row["answer"]))


TASKS = [
    Task(
        name="nq_open",
        title="questions to a search engine, no passage",
        data=DatasetRef(
            "google-research-datasets/nq_open",
            ("question", "answer"),
            "nq_open",
            # Train is not pinned: no copy was available.
            splits={
                "validation": Pin(3610, "5c3ec9464a64bf0f542f092873d2f464d1ab783fa2594134a745acaf8f227a74"),
            },
        ),
        split="validation",
        question=question,
        chance=None,
        comparability=1,
    )
]
