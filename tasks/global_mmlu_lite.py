"""Global-MMLU-Lite (Singh et al. 2024, arXiv:2412.03304): 400 questions of MMLU in each language."""

from functools import partial

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row

LANGUAGES = ("es", "de", "fr", "zh", "it", "ja", "pt", "ko")
"""The languages of NVIDIA's base suite; the data set has more."""
CATEGORIES = {
    "Business": "business",
    "Humanities": "humanities",
    "Medical": "medical",
    "Other": "other",
    "STEM": "stem",
    "Social Sciences": "social_sciences",
}


def question(row: Row) -> MultipleChoice:
    options = tuple(row[f"option_{letter}"] for letter in "abcd")
    return MultipleChoice(row["question"], options, "ABCD".index(row["answer"]))


def subtask(row: Row) -> str:
    """Language and category, since shots are of the same language and category."""
    return f"{row['config']}_{CATEGORIES[row['subject_category']]}"


def is_in(language: str, row: Row) -> bool:
    return bool(row["config"] == language)


TASKS = [
    Task(
        name="global_mmlu_lite",
        title="exam questions, eight languages",
        data=DatasetRef(
            "CohereForAI/Global-MMLU-Lite",
            ("subject_category", "question", "option_a", "option_b", "option_c", "option_d", "answer"),
            splits={"test": Pin(3200)},  # neither content nor the dev split is pinned: no copy was available
            configs=LANGUAGES,
        ),
        split="test",
        question=question,
        chance=0.25,
        comparability=1,
        subtask=subtask,
        subsets={language: partial(is_in, language) for language in LANGUAGES},
    )
]
