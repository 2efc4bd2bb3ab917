"""AGIEval (Zhong et al. 2023, arXiv:2304.06364): eight English exams with options, as `hails` publishes them.

A row's `query` has the passage, "Q: " and the question, then the options and the beginning of an answer. The
labels of some options are out of order; `gold` is the index of the right label in the alphabet.
"""

import re

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row

EXAMS = (
    "aqua-rat",
    "logiqa-en",
    "lsat-ar",
    "lsat-lr",
    "lsat-rc",
    "sat-en-without-passage",
    "sat-en",
    "sat-math",
)
_OPTIONS = re.compile(r" Answer Choices:.*?the answer is", re.DOTALL)


def question(row: Row) -> MultipleChoice:
    """Passage and question without the options, which keep their labels and the order of the list."""
    return MultipleChoice(_OPTIONS.sub("", row["query"]), tuple(row["choices"]), row["gold"][0])


def passage(row: Row) -> str:
    """The text before the question, which several questions may share; the whole query if there is none."""
    return row["query"].partition("Q: ")[0] or str(row["query"])


TASKS = [
    Task(
        name="agieval_en",
        title="admission and civil service exams",
        data=DatasetRef(
            "hails/agieval-{config}",
            ("query", "choices", "gold"),
            splits={"test": Pin(2546, "7fda2254a821d4a5f2f771ef3f34aa8f4bb2aa14107e1d2690f01efefed44685")},
            configs=EXAMS,
        ),
        split="test",
        question=question,
        chance=0.225,  # the plain mean: four options in four exams, five in the others
        comparability=1,
        subtask=lambda row: row["config"],
        cluster=passage,
    )
]
