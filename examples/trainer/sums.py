"""Sums of two numbers below 100: the text that `train.py` trains on, and two tasks over sums it never shows.

    evalsuite show sums --include examples/trainer/sums.py

`python examples/trainer/sums.py` writes `sums.jsonl` again.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from evalsuite import DatasetRef, MultipleChoice, OpenAnswer, Pin, PromptSpec, Task

ROWS = 200
FILE = Path(__file__).with_name("sums.jsonl")
DATA = DatasetRef(
    id="sums",
    columns=("sum", "answer", "wrong"),
    files={"test": FILE},
    splits={"test": Pin(rows=ROWS)},
)


def is_held_out(first: int, second: int) -> bool:
    """Whether a sum is for the tasks: one in five."""
    return (3 * first + second) % 5 == 0


def training_text(draw: random.Random) -> Iterator[str]:
    """Sums to train on, each a line, without end."""
    while True:
        first, second = draw.randrange(100), draw.randrange(100)
        if not is_held_out(first, second):
            yield f"{first}+{second}={first + second}\n"


def rows() -> Iterator[dict]:
    """The rows of the tasks: wrong answers differ in one digit."""
    draw = random.Random(0)
    pairs = [(first, second) for first in range(100) for second in range(100) if is_held_out(first, second)]
    for first, second in draw.sample(pairs, ROWS):
        answer = first + second
        wrong = sorted({answer + 1, abs(answer - 1), answer + 10} - {answer})
        yield {"sum": f"{first}+{second}", "answer": str(answer), "wrong": [str(number) for number in wrong]}


def choice(row: dict) -> MultipleChoice:
    """Which of the answers is the most probable?"""
    options = sorted([row["answer"], *row["wrong"]])
    return MultipleChoice(row["sum"], tuple(options), options.index(row["answer"]))


def question(row: dict) -> OpenAnswer:
    """What does the model write?"""
    return OpenAnswer(row["sum"], (row["answer"],))


# Three sums that the training shows come first, so that the model knows where it is.
SHOWN = "10+7=17\n52+39=91\n8+4=12\n"
COMMON = {"recipe": "example", "version": 1, "source": {"status": "ours"}}
CHOSEN = PromptSpec(
    **COMMON,
    task="sums",
    format="cloze",
    question=SHOWN + "{{ stem }}=",
    delimiter="",
    scorer="choice",
    metrics=["acc"],
)
WRITTEN = PromptSpec(
    **COMMON,
    task="sums_written",
    format="generate",
    question=SHOWN + "{{ stem }}=",
    answer="{{ answers[0] }}",
    scorer="exact_match",
    generation={"stop": ["\n"], "max_tokens": 4},
    extraction={"patterns": [r"\d+"]},
    metrics=["exact_match"],
)
TASKS = [
    Task(
        name=name,
        title=title,
        data=DATA,
        split="test",
        question=read,
        chance=chance,
        comparability=1,
        prompts=(prompt,),
    )
    for name, title, read, chance, prompt in (
        ("sums", "sums of two numbers below 100, by the choice of an answer", choice, 0.25, CHOSEN),
        ("sums_written", "sums of two numbers below 100, written", question, 0.0, WRITTEN),
    )
]

if __name__ == "__main__":
    FILE.write_text("".join(json.dumps(row) + "\n" for row in rows()), "utf-8")
