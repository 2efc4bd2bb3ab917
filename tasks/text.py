"""The user's own held-out texts (`--text`), each a document; docs/text.md."""

from evalsuite.data.refs import DatasetRef
from evalsuite.task import Task
from evalsuite.types import HeldOutText, Row


def question(row: Row) -> HeldOutText:
    return HeldOutText(row["text"])


def domain(row: Row) -> str:
    name: str = row["domain"]
    return name


TASKS = [
    Task(
        name="text",
        title="bits per byte of your own texts (--text)",
        data=DatasetRef("", ("text", "domain")),  # the run's --text
        split="test",
        question=question,
        subtask=domain,
        chance=None,
        comparability=1,
    )
]
