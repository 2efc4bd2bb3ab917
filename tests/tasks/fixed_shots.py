"""How the fixed shots of recipe `evalsuite` were chosen, once; a test chooses them again.

    python -m tests.tasks.fixed_shots     # prints the row numbers that stand in prompts/evalsuite/*.yaml

Rows of the training split are looked at in the order of the SHA-256 of "evalsuite/<task>/<row number>". A row
is taken if the text of its question and choices is at most as long as that of the median row, and if its
right answer's position is not yet taken more often than another one's (balanced positions, no long prompts),
until there are five. Of HellaSwag only ActivityNet rows are looked at: they carry no mark-up.
"""

from collections import Counter
from hashlib import sha256
from itertools import compress
from pathlib import Path
from statistics import median

from evalsuite.data import load_split
from evalsuite.registry.registry import Registry
from evalsuite.task import Task
from evalsuite.types import ClozePair, MultipleChoice, OpenAnswer, Question, Row

TASKS = (
    "arc_challenge",
    "arc_easy",
    "boolq",
    "commonsense_qa",
    "gsm8k",
    "hellaswag",
    "openbookqa",
    "piqa",
    "winogrande",
)
SHOTS = 5


def chosen(task: Task, data_dir: Path) -> list[int]:
    """Row numbers of the training split, in prompt order."""
    rows = load_split(task.data, "train", data_dir=data_dir).rows
    questions = [task.question(row) for row in rows]
    sizes = [_size(question, row) for question, row in zip(questions, rows, strict=True)]
    allowed = [_may_be_shown(task, row) for row in rows]
    longest = median(compress(sizes, allowed))
    order = sorted(range(len(rows)), key=lambda row: sha256(f"evalsuite/{task.name}/{row}".encode()).digest())
    taken: list[int] = []
    positions: Counter[int] = Counter()
    for row in order:
        position, count = _position(questions[row])
        fewest = min(positions[place] for place in range(count))
        if sizes[row] <= longest and positions[position] == fewest and allowed[row]:
            taken.append(row)
            positions[position] += 1
        if len(taken) == SHOTS:
            return taken
    raise ValueError(f"{task.name} has too few rows")


def _position(question: Question) -> tuple[int, int]:
    """Place of the right answer, and how many there are."""
    match question:
        case MultipleChoice(choices=choices, answer=answer) | ClozePair(beginnings=choices, answer=answer):
            return answer, len(choices)
    return 0, 1


def _size(question: Question, row: Row) -> int:
    match question:
        case MultipleChoice(stem=stem, choices=choices):
            return len(stem) + sum(map(len, choices)) + len(row.get("passage", ""))
        case ClozePair(beginnings=beginnings, ending=ending):
            return len(beginnings[0]) + len(ending)
        case OpenAnswer(stem=stem, solution=solution):
            return len(stem) + len(solution)
    raise TypeError(question)


def _may_be_shown(task: Task, row: Row) -> bool:
    """HellaSwag's ActivityNet rows are those with a second part of the context."""
    return task.name != "hellaswag" or bool(row["ctx_b"])


if __name__ == "__main__":
    from tests.golden.golden import SHARED

    for name in TASKS:
        print(name, chosen(Registry.load().tasks[name], SHARED))
