"""Social IQa (Sap et al. 2019, arXiv:1904.09728): what people feel, need and do next."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row


def question(row: Row) -> MultipleChoice:
    choices = (row["answerA"], row["answerB"], row["answerC"])
    return MultipleChoice(f"{row['context']} {row['question']}", choices, int(row["label"]) - 1)


TASKS = [
    Task(
        name="social_iqa",
        title="what people feel, need and do next",
        data=DatasetRef(
            "allenai/social_i_qa",
            ("context", "question", "answerA", "answerB", "answerC", "label"),
            splits={
                "validation": Pin(1954, "4e39612f1d7596b0a7d27ce0009e2562b22e6ed7edf3684ea3db89ac580fbc14")
            },
        ),
        split="validation",
        question=question,
        chance=1 / 3,
        comparability=1,
    )
]
