"""A plug-in with a task of every kind of question, for tests: two topics, pairs and sums."""

from pathlib import Path

from evalsuite import ClozePair, DatasetRef, MultipleChoice, OpenAnswer, PromptSpec, Task

HERE = Path(__file__).parent


def ref(name, columns, **files):
    return DatasetRef(name, columns, files={split: HERE / file for split, file in files.items()})


def spec(task, **fields):
    choice = {"scorer": "choice", "metrics": ["acc"]}
    return PromptSpec(
        **{"recipe": "tiny", "task": task, "version": 1, "source": {"status": "ours"}, **choice, **fields}
    )


def quiz(row):
    return MultipleChoice(row["ask"], tuple(row["options"]), row["right"])


def gap(row):
    before, after = row["text"].split("_")
    return ClozePair(tuple(before + name for name in row["names"]), after.strip(), row["right"])


def total(row):
    return OpenAnswer(row["ask"], (row["answer"],), f"It is {row['answer']}.")


LISTED = (
    "{{ stem }}{% for choice in choices %}\n{{ letters[loop.index0] }}. {{ choice }}{% endfor %}\nAnswer:"
)
SHOTS = {"count": 1, "split": "train", "draw": "first"}

TASKS = [
    Task(
        name="tiny_quiz",
        title="sums and skies",
        data=ref("quiz", ("topic", "ask", "options", "right"), test="quiz.jsonl", train="quiz_train.jsonl"),
        split="test",
        question=quiz,
        chance=0.5,
        comparability=1,
        subtask=lambda row: row["topic"],
        prompts=(
            spec("tiny_quiz", format="letters", question=LISTED, shots=SHOTS),
            spec("tiny_quiz", format="cloze", question="{{ stem }}", shots={"count": 0, "split": "train"}),
        ),
    ),
    Task(
        name="tiny_gaps",
        title="which name fits",
        data=ref("gaps", ("text", "names", "right"), test="gaps.jsonl"),
        split="test",
        question=gap,
        chance=0.5,
        comparability=1,
        prompts=(spec("tiny_gaps", format="cloze", question="{{ beginning }}"),),
    ),
    Task(
        name="tiny_sums",
        title="a number is generated",
        data=ref("sums", ("ask", "answer"), test="sums.jsonl"),
        split="test",
        question=total,
        chance=None,
        comparability=1,
        prompts=(
            spec(
                "tiny_sums",
                format="generate",
                question="Q: {{ stem }}\nA:",
                answer="{{ solution }}",
                generation={"stop": ["Q:", "\n\n"], "max_tokens": 32},
                scorer="exact_match",
                metrics=["exact_match"],
            ),
        ),
    ),
]
