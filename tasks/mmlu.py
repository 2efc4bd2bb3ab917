"""MMLU (Hendrycks et al. 2021, arXiv:2009.03300): four-way exam questions in 57 subjects."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row


def question(row: Row) -> MultipleChoice:
    return MultipleChoice(row["question"], tuple(row["choices"]), row["answer"])


def subtask(row: Row) -> str:
    return str(row["subject"])


TASKS = [
    Task(
        name="mmlu",
        title="exam questions in 57 subjects",
        # The config "all" holds the rows of the 57 subject configs, in their order, in one download.
        data=DatasetRef(
            "cais/mmlu",
            ("question", "subject", "choices", "answer"),
            "all",
            splits={
                "dev": Pin(285, "565830d5181ea206b84a1f0f04a9ab07155a4810df8f494399d9e5f13dcaadb6"),
                "validation": Pin(1531, "28ef2b95d95a02808cf80a69e2bd8b886b4e7938ab6843489d134b4056c1d63e"),
                "test": Pin(14042, "c808c0f63ddd07ec0f68739ffce3cdded3a92c50076cb9f0d9533b2bcee39ce1"),
            },
        ),
        split="test",
        question=question,
        chance=0.25,
        comparability=1,
        subtask=subtask,
    )
]
