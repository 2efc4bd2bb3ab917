"""MGSM (Shi et al. 2022, arXiv:2210.03057): 250 problems of GSM8K in eleven languages."""

from functools import partial

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import OpenAnswer, Row

LANGUAGES = ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")


def question(row: Row) -> OpenAnswer:
    """The row as a question.

    Only `train` has worked answers; its questions and answers start with the language's words for these.
    """
    return OpenAnswer(row["question"], (str(row["answer_number"]),), row["answer"] or "")


def is_in(language: str, row: Row) -> bool:
    return bool(row["config"] == language)


TASKS = [
    Task(
        name="mgsm",
        title="grade-school word problems, eleven languages",
        data=DatasetRef(
            "juletxara/mgsm",
            ("question", "answer", "answer_number"),
            splits={
                "train": Pin(88, "bf5376d579bc556797ca2a949473a687e7402c790f4e97323317fcff0654bd59"),
                "test": Pin(2750, "e13aee7a06b7c85081ba0187fc09d679272f916a4bd75e0a2e13d62c2a9652ef"),
            },
            configs=LANGUAGES,
        ),
        split="test",
        question=question,
        chance=None,
        comparability=1,
        subtask=lambda row: row["config"],
        subsets={language: partial(is_in, language) for language in LANGUAGES},
    )
]
