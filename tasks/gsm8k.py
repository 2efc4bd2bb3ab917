"""GSM8K (Cobbe et al. 2021, arXiv:2110.14168): grade-school word problems with a number as answer."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import OpenAnswer, Row


def question(row: Row) -> OpenAnswer:
    return OpenAnswer(row["question"], (row["answer"].split("####")[-1].strip(),), row["answer"])


TASKS = [
    Task(
        name="gsm8k",
        title="grade-school word problems",
        data=DatasetRef(
            "openai/gsm8k",
            ("question", "answer"),
            "main",
            splits={
                "train": Pin(7473, "dca449882e67a1e7716b5da453650a7b16588a1f2d1a0d82394a43d75ea7e9ca"),
                "test": Pin(1319, "32c548f08195e19e33408b844dd7be6aa4bcae457d957bc05909ff4bd4a00595"),
            },
        ),
        split="test",
        question=question,
        chance=None,
        comparability=2,
    )
]
