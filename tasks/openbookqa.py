"""OpenBookQA (Mihaylov et al. 2018, arXiv:1809.02789): science facts applied to new situations."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row


def question(row: Row) -> MultipleChoice:
    choices = row["choices"]
    answer = choices["label"].index(row["answerKey"].strip())
    return MultipleChoice(row["question_stem"], tuple(choices["text"]), answer)


TASKS = [
    Task(
        name="openbookqa",
        title="science facts applied",
        data=DatasetRef(
            "allenai/openbookqa",
            ("id", "question_stem", "choices", "answerKey"),
            "main",
            splits={
                "train": Pin(4957, "d991412b3d2e29d912581ea26567b1783f32c143e5fe2911dd87c773f461d893"),
                "validation": Pin(500, "39c82c9b1bcf5772aae6a3d3e21f9b92f23b95aa621fc86e55db445b0caded26"),
                "test": Pin(500, "2dcf823dba46be337b5b4b35aa199ebf2cba55332286cceb5c6b90c4e225a1c7"),
            },
        ),
        split="test",
        question=question,
        chance=0.25,
        comparability=1,
    )
]
