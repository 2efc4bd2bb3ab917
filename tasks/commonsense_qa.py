"""CommonsenseQA (Talmor et al. 2019, arXiv:1811.00937): five-way questions about everyday concepts."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row


def question(row: Row) -> MultipleChoice:
    choices = row["choices"]
    return MultipleChoice(row["question"], tuple(choices["text"]), choices["label"].index(row["answerKey"]))


TASKS = [
    Task(
        name="commonsense_qa",
        title="everyday concepts, five options",
        data=DatasetRef(
            "tau/commonsense_qa",
            ("id", "question", "choices", "answerKey"),
            splits={
                "train": Pin(9741, "480a14ead08432b96442d88af8882d902bd30a6a76552b223edb5df7a2e34107"),
                "validation": Pin(1221, "2ad4758dd661a7388b42e52161b7241406a346fd6f79649a1bf75e018ea3a1a5"),
            },
        ),
        split="validation",
        question=question,
        chance=0.2,
        comparability=1,
    )
]
