"""MATH (Hendrycks et al. 2021, arXiv:2103.03874): competition problems in seven subjects, in free text."""

from functools import cache
from hashlib import md5
from importlib import resources

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.latex import extract_boxed
from evalsuite.task import Task
from evalsuite.types import OpenAnswer, Row

MEMBERS = {
    "algebra": "algebra",
    "counting_and_probability": "counting_and_prob",
    "geometry": "geometry",
    "intermediate_algebra": "intermediate_algebra",
    "number_theory": "num_theory",
    "prealgebra": "prealgebra",
    "precalculus": "precalc",
}
"""The usual name of the member task, by configuration of the data set."""


def question(row: Row) -> OpenAnswer:
    answer = extract_boxed(row["solution"])
    return OpenAnswer(
        row["problem"], (rf"\boxed{{{answer}}}" if answer else row["solution"],), row["solution"]
    )


def is_level_5(row: Row) -> bool:
    return "5" in row["level"]


def is_in_math_500(row: Row) -> bool:
    """Decides by the MD5 of the problem's text, as nvidia-lm-eval 25.5 does (`math_500_md5.csv`)."""
    return md5(row["problem"].encode(), usedforsecurity=False).hexdigest()[:12] in math_500()


@cache
def math_500() -> frozenset[str]:
    """The first twelve digits of the MD5 of each problem in HuggingFaceH4/MATH-500."""
    return frozenset((resources.files(__package__) / "math_500.txt").read_text("utf-8").split())


TASKS = [
    Task(
        name="math",
        title="competition mathematics",
        data=DatasetRef(
            "EleutherAI/hendrycks_math",
            ("problem", "level", "type", "solution"),
            splits={
                "train": Pin(7500, "6a395af00e9904a8feca4011fbccbb52de1acf6a3b04829e230ed73d481f33ad"),
                "test": Pin(5000, "bd843a799fd215f70496d297fdb9d1e7eeabdec18a4883123d6d0b50aca36164"),
            },
            configs=tuple(MEMBERS),
        ),
        split="test",
        question=question,
        chance=None,
        comparability=1,
        subtask=lambda row: MEMBERS[row["config"]],
        subsets={"level_5": is_level_5, "math_500": is_in_math_500},
    ),
    Task(
        name="math_500",
        title="competition mathematics, 500 problems",
        data=DatasetRef(
            "HuggingFaceH4/MATH-500",
            ("problem", "solution", "answer", "subject", "level"),
            splits={"test": Pin(500, "ae93b5cf0edcf08be5659ae9b53eca644cc0ea2480f063e59d17c15a38773135")},
        ),
        split="test",
        question=question,
        chance=None,
        comparability=3,
    ),
]
