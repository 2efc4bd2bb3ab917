"""MMLU-Pro (Wang et al. 2024, arXiv:2406.01574): ten-way exam questions, 14 categories, worked shots."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row


def question(row: Row) -> MultipleChoice:
    # The references read the letter; in one row of the data, `answer_index` differs from it.
    return MultipleChoice(row["question"], tuple(row["options"]), ord(row["answer"]) - ord("A"))


TASKS = [
    Task(
        name="mmlu_pro",
        title="harder exam questions, ten options",
        data=DatasetRef(
            "TIGER-Lab/MMLU-Pro",
            ("question", "options", "answer", "cot_content", "category"),
            splits={
                "validation": Pin(70, "4a0b7ea472df76863e942704a4b23254df6f0b429bc8dfbf32405bbbb5315fed"),
                "test": Pin(12032, "b34168d94402bebbe8a1a440c0e4f547d1b0e738aed925c9555ca95e81d6192a"),
            },
        ),
        split="test",
        question=question,
        chance=0.1,
        comparability=1,
        subtask=lambda row: row["category"].replace(" ", "_"),
    )
]
