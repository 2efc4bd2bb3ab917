"""WinoGrande (Sakaguchi et al. 2019, arXiv:1907.10641): which of two names fits the gap in a sentence.

Scored by partial evaluation (Trinh and Le 2018): the text after the gap is the same for both names; the
answer is the name under which it is more likely.
"""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import ClozePair, Row


def question(row: Row) -> ClozePair:
    gap = row["sentence"].index("_")
    before, after = row["sentence"][:gap], row["sentence"][gap + 1 :].strip()
    return ClozePair((before + row["option1"], before + row["option2"]), after, int(row["answer"]) - 1)


TASKS = [
    Task(
        name="winogrande",
        title="which name fits the gap",
        data=DatasetRef(
            "allenai/winogrande",
            ("sentence", "option1", "option2", "answer"),
            "winogrande_xl",
            splits={
                "train": Pin(40398, "582ceddc671f1dd68ca3fc05aafc93c7d33764d20c40ea89952c8aef73dab86a"),
                "validation": Pin(1267, "8e8671d6097f314f4ddc6c9734e382810926a1e0c3e76664715786d25b4a78d4"),
            },
        ),
        split="validation",
        question=question,
        chance=0.5,
        comparability=1,
    )
]
