"""Your own benchmark in one file: a task, its data and its prompt.

    evalsuite show kitchen --include examples/third_party_task.py
    evalsuite run --tasks kitchen --model smollm2-135m --include examples/third_party_task.py

An installed package provides its tasks without --include if its pyproject.toml names this module:

    [project.entry-points."evalsuite.tasks"]
    kitchen = "your_package.third_party_task"
"""

from pathlib import Path

from evalsuite import DatasetRef, MultipleChoice, Pin, PromptSpec, Task

# The source of the rows. The pin stops the run if the file changes: give the number of rows and, better
# still, the fingerprint that `evalsuite show` prints. Data on the hub needs its id and no `files`.
DATA = DatasetRef(
    id="kitchen",
    columns=("goal", "options", "right"),
    files={"test": Path(__file__).with_name("kitchen.jsonl")},
    splits={"test": Pin(rows=6)},
)


def question(row: dict) -> MultipleChoice:
    """The row as a question. ClozePair and OpenAnswer are the other kinds."""
    return MultipleChoice(row["goal"], tuple(row["options"]), row["right"])


# The prompt: it lists the options, and the letter's log-likelihood decides. The first two rows are the
# shots; if the document is one of them, the next row replaces it.
LETTERS = PromptSpec(
    recipe="example",
    task="kitchen",
    version=1,  # raise it with every change
    source={"status": "ours"},
    format="letters",
    question=(
        "{{ stem }}{% for choice in choices %}\n{{ letters[loop.index0] }}. {{ choice }}{% endfor %}\nAnswer:"
    ),
    shots={"count": 2, "split": "test", "draw": "first"},
    scorer="choice",
    metrics=["acc"],
)

TASKS = [
    Task(
        name="kitchen",
        title="what a cook would do",
        data=DATA,
        split="test",
        question=question,
        chance=1 / 3,
        comparability=1,  # raise it for every change to a score that no prompt spec shows
        prompts=(LETTERS,),
    )
]
