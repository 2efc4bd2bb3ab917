"""MMLU-Pro (Wang et al. 2024, arXiv:2406.01574): ten-way exam questions in 14 categories, with worked shots."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row


def question(row: Row) -> MultipleChoice:
    return MultipleChoice(row["question"], tuple(row["options"]), row["answer_index"])


TASKS = [
    Task(
        name="mmlu_pro",
        title="harder exam questions, ten options",
        data=DatasetRef(
            "TIGER-Lab/MMLU-Pro",
            ("question", "options", "answer", "answer_index", "cot_content", "category"),
            splits={
                "validation": Pin(70, "f50e715c248cd984d639154af59f28784d76e8d435609be8130ed52d9862470b"),
                "test": Pin(12032, "42ec8c1ad7892d7ff6a70405d49023e50a7d5a2428e328089a66e1c5e0684cfe"),
            },
        ),
        split="test",
        question=question,
        chance=0.1,
        comparability=1,
        subtask=lambda row: row["category"].replace(" ", "_"),
    )
]
