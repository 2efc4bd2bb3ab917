"""What a run needs, real but at test size: data sets in the hub's layout, a task plug-in, and engines.

The plug-in has every kind of question and format. `ScriptedEngine` is a whole engine but for the model:
it answers from the texts it is asked, so that a test knows what the score must be.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from evalsuite.checkpoints import ModelFiles
from evalsuite.data.subset import Subset
from evalsuite.engine.protocol import Answered, EngineDefaults, Planned
from evalsuite.progress import Progress
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask, Selected
from evalsuite.requests.prepare import prepare
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import RunLog
from evalsuite.runs.execute import execute
from evalsuite.runs.options import Execution
from evalsuite.types import (
    Failure,
    Generated,
    GenerateRequest,
    ModelIdentity,
    Request,
    Response,
    Score,
    ScoreRequest,
    gold_text,
)
from tests.data.tiny_mirror import TinyMirror

PLUGIN = """
from evalsuite import ClozePair, DatasetRef, MultipleChoice, OpenAnswer, PromptSpec, Task
from evalsuite.prompting.shots import Shots
from evalsuite.prompting.spec import Extraction, GenerationSpec, Source

OURS = Source(status="ours")


def quiz(row):
    return MultipleChoice(row["question"], tuple(row["choices"]), row["answer"])


def pairs(row):
    before, after = row["sentence"].split("_")
    return ClozePair((before + row["one"], before + row["two"]), after.strip(), row["answer"])


def sums(row):
    return OpenAnswer(row["question"], (str(row["answer"]),))


def spec(task, form, **fields):
    known = dict(recipe="tiny", task=task, version=1, source=OURS, format=form)
    return PromptSpec(**known | fields)


CHOICE = dict(scorer="choice", question="Q: {{ stem }}\\nA:")
QUIZ = (
    spec("quiz", "cloze", metrics=("acc_norm", "acc"), **CHOICE),
    spec("quiz", "letters", metrics=("acc",), scorer="choice",
         shots=Shots(count=1, split="train", draw="seeded"),
         question="{{ stem }}{% for c in choices %}\\n{{ letters[loop.index0] }}. {{ c }}{% endfor %}\\n:"),
)
PAIRS = (spec("pairs", "cloze", scorer="choice", question="{{ beginning }}", metrics=("acc",)),)
SUMS = (
    spec("sums", "generate", question="{{ stem }} =", answer="{{ answers[0] }}", scorer="exact_match",
         generation=GenerationSpec(stop=("\\n",), max_tokens=6), extraction=Extraction(patterns=(r"-?\\d+",)),
         metrics=("exact_match",), shots=Shots(count=2, split="train")),
)


def task(name, columns, question, prompts, subtask=None):
    return Task(name=name, title="", data=DatasetRef("tiny/" + name, columns), split="test",
                question=question, chance=None, comparability=1, prompts=prompts, subtask=subtask)


TASKS = [
    task("quiz", ("question", "choices", "answer"), quiz, QUIZ),
    task("pairs", ("sentence", "one", "two", "answer"), pairs, PAIRS),
    task("sums", ("question", "answer"), sums, SUMS),
]
"""

ADDRESSES = ("quiz", "quiz:letters", "pairs", "sums")
"""Multiple choice by text and by letter, cloze pair, generated text."""

DOCUMENTS = 16


def quiz_rows(count: int, first: int = 1) -> list[dict]:
    return [
        {
            "question": f"{n} + {n}?",
            "choices": [str(2 * n), f"{2 * n + 1} or so", str(n)],
            "answer": n % 3,
        }
        for n in range(first, first + count)
    ]


def pair_rows(count: int) -> list[dict]:
    return [
        {"sentence": f"The {n}th _ is here.", "one": "ox", "two": "horse", "answer": n % 2}
        for n in range(count)
    ]


def sum_rows(count: int, first: int = 0) -> list[dict]:
    return [{"question": f"{n} + 3", "answer": n + 3} for n in range(first, first + count)]


def write_data(folder: Path, documents: int = DOCUMENTS) -> TinyMirror:
    """The plug-in's data sets: splits `test` and `train`."""
    mirror = TinyMirror(folder)
    splits = {
        "quiz": {"test": quiz_rows(documents), "train": quiz_rows(6, first=100)},
        "pairs": {"test": pair_rows(documents)},
        "sums": {"test": sum_rows(documents), "train": sum_rows(4, first=50)},
    }
    for name, rows in splits.items():
        files = [{"split": split, "path": f"default/{split}.parquet"} for split in rows]
        mirror.declare(f"tiny/{name}", {"config_name": "default", "data_files": files})
        for split, some in rows.items():
            mirror.write(f"tiny/{name}", f"default/{split}.parquet", some)
    return mirror


@dataclass(frozen=True)
class Bench:
    """A folder with data, plug-in and room for run folders."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, documents: int = DOCUMENTS, plugin: str = PLUGIN) -> "Bench":
        write_data(folder / "data", documents)
        (folder / "tiny_tasks.py").write_text(plugin, "utf-8")
        return cls(folder)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def plugin(self) -> Path:
        return self.folder / "tiny_tasks.py"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def select(self, *addresses: str) -> list[Selected]:
        return Registry.load([self.plugin]).select(addresses or ADDRESSES)

    def prepared(self, address: str, limit: int | None = None) -> PreparedTask:
        [selected] = self.select(address)
        return prepare(selected, data_dir=self.data, subset=Subset(limit))

    def execute(
        self,
        engine: "ScriptedEngine",
        *addresses: str,
        allow_failures: bool = False,
        smoke: bool = False,
        progress: Progress | None = None,
    ) -> RunLog:
        """Through the runner, with an engine object in place of a model."""
        tasks = self.select(*addresses)
        spec = RunSpec(tasks=tuple(one.address for one in tasks), model="scripted")
        execution = Execution(folder=self.out, data_dir=self.data, allow_failures=allow_failures, smoke=smoke)
        files = ModelFiles("scripted", Path("nowhere"))
        return execute(spec, tasks, files, execution, engine=engine, progress=progress)


class ByteTokenizer:
    """One token per byte of UTF-8."""

    bos_id = None
    eos_id = 1
    bos_text = ""
    prefix_id = 1
    notes = ()
    special_texts: ClassVar[dict[int, str]] = {1: "<|endoftext|>"}

    def encode(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[int]]:
        return [[2 + byte for byte in text.encode()] for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(one - 2 for one in ids if one > 1).decode()

    def token_text(self, token: int) -> str:
        return chr(token - 2) if token > 1 else "</s>"


Likelihood = Callable[[str], float | Failure]
"""Log-probability of each token of a continuation, given the whole text that it ends."""


MODEL = ModelIdentity("0" * 64, "1" * 64, "scripted")


@dataclass
class ScriptedEngine(EngineDefaults):
    """Answers from texts; small blocks, and a record of what it was asked."""

    likelihood: Likelihood = lambda text: -1.0
    text: Callable[[str], str | Failure] = lambda context: ""
    max_length: int | None = None
    identity: ModelIdentity = MODEL
    notes: tuple[str, ...] = ()
    vocabulary: int | None = None
    asked: list[ScoreRequest | GenerateRequest] = field(default_factory=list)
    """Requests worked on, in order."""
    block: int = 4
    tokenizer: ByteTokenizer = field(default_factory=ByteTokenizer)

    def score(self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()):
        yield from self._blocks(requests, answered, self._score)

    def partition(self, requests: Sequence[Request]) -> list[tuple[Request, ...]]:
        return [tuple(requests[at : at + self.block]) for at in range(0, len(requests), self.block)]

    def generate(self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()):
        yield from self._blocks(requests, answered, self._generate)

    def _blocks(self, requests, answered, work):
        left = [request for request in requests if request not in answered]
        planned = sum(len(request.context) for request in left)
        yield Planned(planned)
        for start in range(0, len(left), self.block):
            batch = left[start : start + self.block]
            self.asked += batch
            tokens = sum(len(request.context) for request in batch)
            yield Answered(tuple((request, work(request)) for request in batch), tokens)

    def _score(self, request: ScoreRequest) -> Response:
        value = self.likelihood(self.tokenizer.decode(request.context + request.continuation))
        if isinstance(value, Failure):
            return value
        return Score((value,) * len(request.continuation), is_greedy=value > -0.5)

    def _generate(self, request: GenerateRequest) -> Response:
        text = self.text(self.tokenizer.decode(request.context))
        return text if isinstance(text, Failure) else Generated(text, len(text) + 1, "stop")


def oracle(prepared: Sequence[PreparedTask], wrong: Collection[int] = ()) -> ScriptedEngine:
    """An engine that knows the right answers, and errs on the documents `wrong` (by index)."""
    likely: set[str] = set()
    texts: dict[str, str] = {}
    for one in prepared:
        for document, prompt in zip(one.documents, one.prompts, strict=True):
            errs = document.index in wrong
            if prompt.generation:
                texts[prompt.contexts[0]] = f" {gold_text(document)}{'1' * errs}"
            else:
                choice = (document.question.answer + errs) % len(prompt.pairs)
                likely.add("".join(prompt.pairs[choice]))
    return ScriptedEngine(
        likelihood=lambda text: -0.01 if text in likely else -3.0, text=lambda context: texts[context]
    )


def read_json(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))
