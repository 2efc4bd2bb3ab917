"""The words of evalsuite as frozen dataclasses; standard library only.

A request walks one way: a `Document` (a data row read as a typed question) is rendered
into a `Prompt` (text), encoded into `ScoreRequest`s or `GenerateRequest`s (token ids),
answered by an engine with a `Response`, and judged into a `Sample`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Row = Mapping[str, Any]
"""One row of a data set: column name to plain Python value."""


@dataclass(frozen=True, slots=True)
class MultipleChoice:
    """A question with listed answers of which one is right."""

    stem: str
    choices: tuple[str, ...]
    answer: int
    """Index of the right choice."""


@dataclass(frozen=True, slots=True)
class ClozePair:
    """Beginnings of which only one fits a shared ending (WinoGrande)."""

    beginnings: tuple[str, ...]
    ending: str
    answer: int
    """Index of the right beginning."""


@dataclass(frozen=True, slots=True)
class OpenAnswer:
    """A question that is answered in free text."""

    stem: str
    answers: tuple[str, ...]
    """Accepted gold forms, the canonical one first."""
    solution: str = ""
    """The worked solution, where the data set has one."""


@dataclass(frozen=True, slots=True)
class CodeProblem:
    """A program to write; running its tests decides."""

    stem: str
    """What the model is told: a signature with its docstring, or a description."""
    solution: str
    """A whole program that passes: calibrates time limits and proves the tests."""
    tests: Mapping[str, str]
    """Test scripts by name (`base`, `plus`), each run after the program; a recipe says which decides."""
    entry_point: str = ""
    """The function that the tests call, where the data set names it."""
    unpassable: tuple[str, ...] = ()
    """Tests that no right answer passes, as they were published: every answer is wrong by them."""


Question = MultipleChoice | ClozePair | OpenAnswer | CodeProblem


@dataclass(frozen=True, slots=True)
class Document:
    """One row of an evaluated split, read as a question."""

    index: int
    """Position among the evaluated split's documents."""
    subtask: str
    """Full name of the member task (`mmlu_anatomy`), empty where a task has no members."""
    subtask_index: int
    """Position within the member task; equals `index` where there are no members."""
    row: Row = field(hash=False)
    question: Question
    cluster: str = ""
    """What it shares with other documents of the task; empty where the task declares nothing."""
    member: str = ""
    """The member task's short name (`anatomy`)."""

    def key(self, task: str) -> str:
        """Content key (SHA-256) that aligns the same document across runs, whatever its position."""
        return sha256_of([task, self.subtask, dict(self.row)])


@dataclass(frozen=True, slots=True)
class Generation:
    """How text is generated after a context."""

    stop: tuple[str, ...] = ()
    """Strings that end the text; none of them is part of it."""
    max_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    samples: int = 1
    """Independent samples per document."""


Bos = Literal["never", "tokenizer", "always"]
BOS_CHOICES: tuple[Bos, ...] = ("never", "tokenizer", "always")
"""Whether a beginning-of-sequence token opens the context: never, if the tokenizer adds one, always."""


Join = Literal["joined", "last_token", "rolling"]
"""joined: what context and continuation encoded together have beyond the context. last_token: the last token
of the continuation encoded by itself (MMLU's first implementation). rolling: the continuation is a whole text, every
token of which is scored, in windows of the model's length where it is longer."""


Encoding = Literal["evalsuite", "lm_eval"]
"""What happens where tokens and texts do not meet. evalsuite: where a token spans the join of a prompt and its choices,
all choices of the document are scored from the last token boundary that they share; a BOS token is never scored.
lm_eval: the choices are sliced as lm-eval 0.4.13 does as far as it gives a number, and a rolling log-likelihood has the
BOS token that the tokenizer adds in it; both are counted and said."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one document asks of a model, as text."""

    contexts: tuple[str, ...]
    """One context, or one per continuation where they differ (WinoGrande)."""
    continuations: tuple[str, ...] = ()
    """Texts to be scored after the context, delimiter included; empty when text is generated."""
    generation: Generation | None = None
    bos: Bos = "never"
    join: Join = "joined"
    """How a continuation becomes token ids."""
    encoding: Encoding = "evalsuite"

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(context, continuation) in the order of the continuations."""
        contexts = self.contexts * len(self.continuations) if len(self.contexts) == 1 else self.contexts
        return tuple(zip(contexts, self.continuations, strict=True))


TokenIds = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Log-likelihood of `continuation` after `context`; neither is empty."""

    context: TokenIds
    continuation: TokenIds


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """Generated text after `context`."""

    context: TokenIds
    stop: tuple[str, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    """Seed of the run; greedy requests carry 0, so that their answer does not depend on it."""
    sample: int = 0
    """Which of several independent samples this is."""


Request = ScoreRequest | GenerateRequest


@dataclass(frozen=True, slots=True)
class Score:
    """Answer to a `ScoreRequest`."""

    log_probs: tuple[float, ...]
    """Natural-log probability of each continuation token."""
    is_greedy: bool
    """Every continuation token is the model's most probable one."""
    rounded_sum: float | None = None
    """Where sums are rounded, too (`--logits-dtype model`): the sum of `log_probs` in the data type of the logits."""

    @property
    def log_likelihood(self) -> float:
        """Sum over the continuation, in nats."""
        return sum(self.log_probs) if self.rounded_sum is None else self.rounded_sum


Finish = Literal["stop", "eos", "length", "window", "unknown"]
"""A stop string, the end token, `max_tokens`, the end of the context window; of an imported text, unknown."""


@dataclass(frozen=True, slots=True)
class Generated:
    """Answer to a `GenerateRequest`."""

    text: str
    tokens: int
    """Tokens generated, the stop included."""
    finish: Finish


@dataclass(frozen=True, slots=True)
class Failure:
    """An infrastructure failure in place of an answer: counted and shown, never scored, never stored."""

    reason: str
    too_long: bool = False
    """The prompt is longer than the window of a server that alone can count its tokens."""


Response = Score | Generated | Failure


Status = Literal["scored", "failed", "too_long"]
"""Judged; left without an answer by the infrastructure; longer than the context window."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One document with its answers and verdict."""

    document: Document
    prompt: Prompt
    shots: int
    """Shots shown; fewer than the spec's where some were dropped to fit the context window."""
    status: Status
    reason: str = ""
    """Why there is no verdict."""
    gold: str = ""
    prediction: str | None = None
    """What the headline metric judged: a choice's index, or the extracted answer."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """By metric; empty without a verdict."""
    extracted: tuple[str | None, ...] = ()
    """By generated text: the answer found in it."""
    correct: tuple[bool, ...] = ()
    """By generated text: the verdict on it."""
    deciders: tuple[str, ...] = ()
    """By generated text: which grader or rule decided."""
    responses: tuple[Response, ...] = ()
    """Answers in the order of the prompt's continuations, or of the samples."""
    context_tokens: tuple[int, ...] = ()
    continuation_tokens: tuple[int, ...] = ()
    parts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """By metric that is no mean over documents: what this document gives to it (another harness's value)."""
    margin: float | None = None
    """Nats of log-likelihood between the two best choices by the headline metric; None without choices."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What an answer depends on besides its request."""

    weights: str
    """SHA-256 over the content of the weights and their configuration."""
    tokenizer: str
    """SHA-256 over the content of the tokenizer files."""
    numerics: str
    """Engine, data type, device class and kernels: answers of two classes may differ in the last digits."""


def canonical_json(value: Any) -> str:
    """The one spelling of `value` that hashes are made of (as in the golden files)."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def sha256_of(value: Any) -> str:
    """SHA-256 of a string, or of the canonical JSON of anything else."""
    text = value if isinstance(value, str) else canonical_json(value)
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()
