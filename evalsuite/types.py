"""The core types of evalsuite as frozen dataclasses; standard library only.

The flow: a `Document` (a data row read as a typed question) is rendered into a `Prompt` (text)
and encoded into `ScoreRequest`s or `GenerateRequest`s (token ids). An engine answers each with
a `Response`, and a scorer judges the responses into a `Sample`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Row = Mapping[str, Any]
"""One row of a data set: column name to plain Python value."""


@dataclass(frozen=True, slots=True)
class MultipleChoice:
    """A question with several choices, exactly one of them right."""

    stem: str
    choices: tuple[str, ...]
    answer: int
    """Index of the right choice."""


@dataclass(frozen=True, slots=True)
class ClozePair:
    """Several beginnings for a shared ending; only one of them fits (WinoGrande)."""

    beginnings: tuple[str, ...]
    ending: str
    answer: int
    """Index of the right beginning."""


@dataclass(frozen=True, slots=True)
class OpenAnswer:
    """A question with a free-text answer."""

    stem: str
    answers: tuple[str, ...]
    """Accepted gold answers, the canonical one first."""
    solution: str = ""
    """The worked solution, if the data set has one."""


@dataclass(frozen=True, slots=True)
class CodeProblem:
    """A program to write; its tests decide the verdict."""

    stem: str
    """The model's instructions: a signature with its docstring, or a description."""
    solution: str
    """A complete program that passes; it calibrates time limits and checks the tests."""
    tests: Mapping[str, str]
    """Test scripts by name (`base`, `plus`), each run after the program; the recipe says which decides."""
    entry_point: str = ""
    """The function that the tests call, if the data set names it."""
    unpassable: tuple[str, ...] = ()
    """Published tests that fail every right answer; every answer is wrong by them."""


@dataclass(frozen=True, slots=True)
class HeldOutText:
    """A text without a question: the model's log-likelihood of all of it is the score."""

    text: str


Question = MultipleChoice | ClozePair | OpenAnswer | CodeProblem | HeldOutText


@dataclass(frozen=True, slots=True)
class Document:
    """One row of an evaluated split, read as a question."""

    index: int
    """Position among the evaluated split's documents."""
    subtask: str
    """Full name of the member task (`mmlu_anatomy`); empty if the task has no members."""
    subtask_index: int
    """Position within the member task; equals `index` if the task has no members."""
    row: Row = field(hash=False)
    question: Question
    cluster: str = ""
    """The source that it shares with other documents; empty if the task declares no clusters."""
    member: str = ""
    """The member task's short name (`anatomy`)."""

    def key(self, task: str) -> str:
        """Content key (SHA-256) that identifies the document across runs, at any position."""
        return sha256_of([task, self.subtask, dict(self.row)])


Backend = Literal["evalsuite", "lm_eval_hf"]
"""The rules for generating a text.

evalsuite: the text that follows the prompt, and no more than the recipe asks for.

lm_eval_hf: the rules of lm-eval 0.4.13's `hf` backend (`models/huggingface.py`, `generate_until`):

- The generated ids are decoded without the prompt's, so that a decoder may drop the first blank,
  and with the tokenizer's own clean-up.
- The end token's text is a stop string.
- `generation_config.json` applies.
- A prompt that leaves less than `max_tokens` of the window loses its beginning.
"""


@dataclass(frozen=True, slots=True)
class Generation:
    """How to generate text after a context."""

    stop: tuple[str, ...] = ()
    """Strings that end the text, without being part of it."""
    max_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    samples: int = 1
    """Independent samples per document."""
    backend: Backend = "evalsuite"


Bos = Literal["never", "tokenizer", "always", "document"]
BOS_CHOICES: tuple[Bos, ...] = ("never", "tokenizer", "always")
"""When the context starts with a beginning-of-sequence token: never, if the tokenizer adds it, always.

document: always with the token that separates documents in training, <|bos|> or else <|endoftext|>; only if
the tokenizer has neither with its BOS token (nanochat's `get_bos_token_id`). Only prompt specs choose it.
"""


Join = Literal["joined", "apart", "last_token", "rolling", "whole", "pieces"]
"""How a continuation becomes token ids.

joined: context and continuation are encoded together; the tokens after the context's count.

apart: context and continuation are each encoded alone (Ai2's evaluations in training).

last_token: the continuation is encoded alone; its last token counts (MMLU's first implementation).

rolling: the continuation is a whole text, and every token is scored, if necessary in windows of the
model's length.

whole: context and continuation are encoded as one text. Choices after one context are scored from the first
token at which they differ; a continuation after several contexts over the end that all have in common; a
single continuation after the tokens of its context, which must begin those of the whole (nanochat).

pieces: the shots, the question and the continuation without its delimiter's blank are encoded one by one. If
the tokenizer has a single token for a blank and a letter, a continuation without a leading blank gets one
(llm-foundry).
"""


Encoding = Literal["evalsuite", "lm_eval"]
"""The rules for a token that spans the boundary between a context and its continuation.

evalsuite: if a token spans the boundary between a prompt and its choices, all choices of the document
are scored from the last token boundary that they share; a BOS token is never scored.

lm_eval: the choices are sliced as in lm-eval 0.4.13, as far as that gives a number, and a rolling
log-likelihood includes the BOS token that the tokenizer adds; the run counts and reports both.
"""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A document's prompt for a model, as text."""

    contexts: tuple[str, ...]
    """A single context, or one per continuation if they differ (WinoGrande)."""
    continuations: tuple[str, ...] = ()
    """Texts to score after the context, delimiter included; empty if the model generates text."""
    generation: Generation | None = None
    bos: Bos = "never"
    join: Join = "joined"
    encoding: Encoding = "evalsuite"
    preamble: int = 0
    """Number of characters of each context that are description and shots, without their last separator."""
    stride: int | None = None
    """Tokens that each rolling window scores, if fewer than it holds."""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(context, continuation) in the order of the continuations."""
        contexts = self.contexts * len(self.continuations) if len(self.contexts) == 1 else self.contexts
        return tuple(zip(contexts, self.continuations, strict=True))


TokenIds = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Asks for the log-likelihood of `continuation` after `context`; neither is empty."""

    context: TokenIds
    continuation: TokenIds


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """Asks for generated text after `context`."""

    context: TokenIds
    stop: tuple[str, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    """Seed of the run; 0 in greedy requests, so that their answer does not depend on it."""
    sample: int = 0
    """Index of the sample among the document's independent samples."""
    backend: Backend = "evalsuite"


Request = ScoreRequest | GenerateRequest


@dataclass(frozen=True, slots=True)
class Score:
    """Answer to a `ScoreRequest`."""

    log_probs: tuple[float, ...]
    """Natural-log probability of each continuation token."""
    is_greedy: bool
    """Every continuation token is the model's most probable one."""
    rounded_sum: float | None = None
    """The sum of `log_probs` in the logits' data type, if sums are rounded (`--logits-dtype model`)."""

    @property
    def log_likelihood(self) -> float:
        """Sum over the continuation, in nats."""
        return sum(self.log_probs) if self.rounded_sum is None else self.rounded_sum


Finish = Literal["stop", "eos", "length", "window", "unknown"]
"""Why a text ended: stop string, end token, `max_tokens`, context window; unknown for imported texts."""


@dataclass(frozen=True, slots=True)
class Generated:
    """Answer to a `GenerateRequest`."""

    text: str
    tokens: int
    """Number of generated tokens, the stop included."""
    finish: Finish


@dataclass(frozen=True, slots=True)
class Failure:
    """An infrastructure failure instead of an answer: counted and shown, never scored, never stored."""

    reason: str
    too_long: bool = False
    """The prompt exceeds the context window of a server, and only the server can count its tokens."""
    of_model: bool = False
    """The model itself is at fault: NaN, or token ids outside its vocabulary."""


Response = Score | Generated | Failure


Status = Literal["scored", "failed", "too_long"]
"""Judged; without an answer after an infrastructure failure; longer than the context window."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One document with its answers and verdict."""

    document: Document
    prompt: Prompt
    shots: int
    """Shots in the prompt; fewer than the spec's if the context window had no room for all."""
    status: Status
    reason: str = ""
    """Why there is no verdict."""
    gold: str = ""
    prediction: str | None = None
    """The answer that the headline metric judged: a choice's index, or the extracted answer."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Values by metric; empty without a verdict."""
    extracted: tuple[str | None, ...] = ()
    """The answer found in each generated text."""
    correct: tuple[bool, ...] = ()
    """The verdict on each generated text."""
    deciders: tuple[str, ...] = ()
    """The grader or rule that decided on each generated text."""
    responses: tuple[Response, ...] = ()
    """Answers in the order of the prompt's continuations, or of the samples."""
    context_tokens: tuple[int, ...] = ()
    continuation_tokens: tuple[int, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    """The document's weight by metric, for metrics that are ratios of sums: the bytes of bits per byte."""
    token_log_probs: Sequence[float] = ()
    """Natural-log probability of each token of a held-out text, in the text's order."""
    token_bytes: Sequence[int] = ()
    """UTF-8 bytes of the scored text that each of these tokens stands for; they sum to all of its bytes."""
    parts: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """This document's contribution to each metric that is not a mean (another harness's value)."""
    margin: float | None = None
    """Log-likelihood difference in nats of the headline metric's two best choices; None without choices."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Everything that an answer depends on besides its request."""

    weights: str
    """SHA-256 of the content of the weights and their configuration."""
    tokenizer: str
    """SHA-256 of the content of the tokenizer files."""
    numerics: str
    """Engine, data type, device class and kernels; across these, answers may differ in the last digits."""


def canonical_json(value: Any) -> str:
    """The canonical JSON of `value`, the input of hashes (as in the golden files)."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def sha256_of(value: Any) -> str:
    """SHA-256 of a string, or of the canonical JSON of anything else."""
    text = value if isinstance(value, str) else canonical_json(value)
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def gold_text(document: Document) -> str:
    """The right answer: the right choice's index, the canonical gold answer, or a program that passes.

    Empty for a held-out text.
    """
    match document.question:
        case HeldOutText():
            return ""
        case OpenAnswer(answers=answers):
            return answers[0]
        case CodeProblem(solution=solution):
            return solution
        case MultipleChoice(answer=answer) | ClozePair(answer=answer):
            return str(answer)
