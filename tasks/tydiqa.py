"""TyDiQA-GoldP (Clark et al. 2020, arXiv:2003.05002): questions on a passage, in nine languages."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import OpenAnswer, Row

LANGUAGES = {
    "arabic": "ar",
    "bengali": "bn",
    "english": "en",
    "finnish": "fi",
    "indonesian": "id",
    "korean": "ko",
    "russian": "ru",
    "swahili": "sw",
    "telugu": "te",
}


def question(row: Row) -> OpenAnswer:
    return OpenAnswer(
        row["question"], tuple(dict.fromkeys(row["answers"]["text"])), row["answers"]["text"][0]
    )


TASKS = [
    Task(
        name="tydiqa_goldp",
        title="answers from a passage, nine languages",
        data=DatasetRef(
            "google-research-datasets/tydiqa",
            ("id", "context", "question", "answers"),
            "secondary_task",
            # Train is not pinned: no complete copy was available.
            splits={
                "validation": Pin(5077, "788555280bad2061452495e979b6922baf23ec185e11b8a5c0cb7af38bebf85f")
            },
        ),
        split="validation",
        question=question,
        chance=None,
        comparability=1,
        subtask=lambda row: LANGUAGES[row["id"].partition("-")[0]],
    )
]
