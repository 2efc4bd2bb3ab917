"""ARC (Clark et al. 2018, arXiv:1803.05457): grade-school science questions, easy and challenge set."""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import MultipleChoice, Row

COLUMNS = ("id", "question", "choices", "answerKey")
EASY = {
    "train": Pin(2251, "cf95b12b20f05746f440d52a93576938cec54d34db736c988150d5446a178b2e"),
    "validation": Pin(570, "0c106ab0e87d1984d2e537b60cbe09f26a3f14e78fc8a002cf10f2bd2bcb4825"),
    "test": Pin(2376, "00feb782af96f8b74a16f63b6cb72246b3ee5c84b74342342302564afad8b846"),
}
CHALLENGE = {
    "train": Pin(1119, "a9d7a54d8cb4436d7b11cae8918a42ad4445a586a547613bfb8607d7668e3b3c"),
    "validation": Pin(299, "3942ac33409d6a3867ee8bf063835211b7d2c05e4caa7ee6022001d14c21655f"),
    "test": Pin(1172, "a00c3127fa2437025957049bb97760ce0e7e974bcf5a918b7621f36ab9c3fed8"),
}


def question(row: Row) -> MultipleChoice:
    choices = row["choices"]
    # A few rows label their options 1-4 instead of A-D, so the answer's label decides, not its letter.
    return MultipleChoice(row["question"], tuple(choices["text"]), choices["label"].index(row["answerKey"]))


def arc(name: str, title: str, config: str, splits: dict[str, Pin]) -> Task:
    return Task(
        name=name,
        title=title,
        data=DatasetRef("allenai/ai2_arc", COLUMNS, config, splits=splits),
        split="test",
        question=question,
        chance=0.25,
        comparability=1,
    )


TASKS = [
    arc("arc_easy", "science exam questions, easy set", "ARC-Easy", EASY),
    arc("arc_challenge", "science exam questions, challenge set", "ARC-Challenge", CHALLENGE),
]
