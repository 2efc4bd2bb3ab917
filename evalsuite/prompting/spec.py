"""A prompt spec: all settings that determine the text that a model sees and how its answer is scored.

Specs are data (`prompts/<recipe>/<task>[.<form>].yaml`), validated here; an unknown key is an error. Every
result contains the hash of its spec: two scores are comparable only if their hashes are equal.
"""

import re
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, model_validator

from evalsuite.files.strict import Strict
from evalsuite.prompting.shots import Replacement, Shots
from evalsuite.types import Backend, Bos, Encoding, Generation, Join, sha256_of

Format = Literal["cloze", "letters", "gold", "generate", "code", "text"]
FORMATS: tuple[Format, ...] = ("cloze", "letters", "gold", "generate", "code", "text")
"""cloze: compares the log-likelihoods of the choices' texts.

letters: lists the choices and compares the log-likelihoods of their letters. gold: the log-likelihood of the
accepted answers. generate: generates text and extracts the answer. code: generates a program and runs its
tests. text: the log-likelihood of a whole text, in rolling windows.
"""
GENERATED: tuple[Format, ...] = ("generate", "code")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Scorer = Literal[
    "choice",
    "gold",
    "exact_match",
    "number",
    "squad",
    "math_answer",
    "math_verify",
    "nvidia_math",
    "symbolic_match",
    "minerva_math",
    "hendrycks_math",
    "code",
    "text",
    "lm_eval",
]
"""The scorer of an answer; docs/grading.md describes each.

`number` (the value of a solution's final statement) and the scorers of mathematics find the answer in the
text. `exact_match` needs an extraction unless the whole text is the answer.
"""

_CHOICE = r"acc|acc_norm|acc_bytes|acc_tokens|acc_mutual_info|bits_per_byte"
_VOTED = r"|maj@\d+|pass@\d+"
METRICS: dict[Scorer, str] = {
    "choice": _CHOICE,
    "gold": r"acc|perplexity|bits_per_byte",
    "exact_match": r"exact_match" + _VOTED,
    "number": r"exact_match" + _VOTED,
    "squad": r"exact_match|f1",
    "math_answer": r"exact_match" + _VOTED,
    "math_verify": r"exact_match" + _VOTED,
    "nvidia_math": r"exact_match" + _VOTED,
    "symbolic_match": r"symbolic_match" + _VOTED,
    "minerva_math": r"exact_match|math_verify",
    "hendrycks_math": r"exact_match",
    "code": r"pass@\d+|base_pass@\d+",
    "text": r"bits_per_byte|bits_per_byte_macro|bits_per_byte_mean|byte_perplexity|word_perplexity",
    "lm_eval": r".+",
}
"""Metrics of each scorer, as a regular expression; a spec's named extractions are metrics, too."""
_SCORERS: dict[Format, tuple[Scorer, ...]] = {
    "cloze": ("choice",),
    "letters": ("choice",),
    "gold": ("gold",),
    "generate": (
        "exact_match",
        "number",
        "squad",
        "math_answer",
        "math_verify",
        "nvidia_math",
        "symbolic_match",
        "minerva_math",
        "hendrycks_math",
    ),
    "code": ("code",),
    "text": ("text",),
}


READERS: tuple[Scorer, ...] = ("number", "math_answer")
"""Scorers of recipe `evalsuite` that find the answer in a text, without an extraction."""
BY_MATH_VERIFY: tuple[Scorer, ...] = ("math_verify", "nvidia_math", "symbolic_match")
"""Scorers whose verdict depends on the version of math-verify."""


class Source(Strict):
    """The source that a spec reproduces, and how well it is known."""

    publication: str = ""
    """The publication whose number the spec reproduces."""
    reference: str = ""
    """Package, version and task that define the spec."""
    status: Literal["seen", "inferred", "stock", "ours"]
    """seen: from the exact recipe; inferred: deduced; stock: a reference's own; ours: evalsuite's."""
    notes: str = ""
    caveat: str = ""
    """What every reader of a result must know, in one sentence without a full stop: a note of each result."""


class DocumentsSpec(Strict):
    """Which rows of the split are the documents, and in which order."""

    shuffle: int | None = None
    """Seed of `random.Random(seed).shuffle` of all rows; None for the rows' own order."""
    first: int | None = Field(default=None, ge=1)
    """Number of rows to keep, after the shuffle and before shots are drawn; None for all."""


class GenerationSpec(Strict):
    """How the answer is generated. Missing fields have the reference harness's defaults."""

    stop: tuple[str, ...] | dict[str, tuple[str, ...]] = ()
    """Stop strings; by member task if they differ."""
    max_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    samples: int = Field(default=1, ge=1)
    backend: Backend = "evalsuite"
    """lm_eval_hf: as lm-eval's `hf` backend, see `types.Backend`."""

    def settings(self, member: str = "") -> Generation:
        """The generation parameters of requests."""
        return Generation(**self.model_dump(exclude={"stop"}), stop=self.stops(member))

    def stops(self, member: str = "") -> tuple[str, ...]:
        """The stop strings of a member task."""
        return self.stop[member] if isinstance(self.stop, dict) else self.stop

    def reference_arguments(self, member: str = "") -> dict[str, Any]:
        """The arguments with lm-eval's names, without those that the spec omits."""
        spelled = {"until": list(self.stops(member)), "do_sample": self.temperature > 0}
        if "max_tokens" in self.model_fields_set:
            spelled["max_gen_toks"] = self.max_tokens
        if "temperature" in self.model_fields_set:
            spelled["temperature"] = self.temperature
        if "top_p" in self.model_fields_set:
            spelled["top_p"] = self.top_p
        return spelled


class Extraction(Strict):
    """Finds the answer in a generated text with the first pattern that matches."""

    patterns: tuple[str, ...] = ()
    """Regular expressions; the answer is the first group that matched, or else the whole match."""
    member_patterns: dict[str, tuple[str, ...]] = Field(default={})
    """Patterns by member task, in place of `patterns`."""
    take: Literal["first", "last"] = "first"
    """Whether the first or the last match of the pattern is the answer."""
    options: bool = False
    """Whether an option's text answers if no pattern matches (`scoring.text.letter_of_option`)."""
    otherwise: str | None = None
    """The answer if no pattern matches; it votes in a majority vote. None: no answer and no vote."""


class AnswerComparison(Strict):
    """How exact_match normalizes both texts, in this order (lm-eval 0.4, api/metrics.py)."""

    ignore: tuple[str, ...] = ()
    """Regular expressions whose matches are removed."""
    ignore_case: bool = False
    ignore_punctuation: bool = False
    """Whether to remove the characters of `string.punctuation`."""


class CodeRun(Strict):
    """How a generated text becomes a program to test."""

    program: str = "{{ text }}"
    """Template of the program, with the variables text, stem, entry_point and row."""
    sanitize: Literal["no", "evalplus", "nvidia", "python"] = "no"
    """How to find the program in the text.

    evalplus: EvalPlus 0.3.1's sanitizer. nvidia: its edit in nvidia-lm-eval 25.5. python: evalsuite's, which
        keeps
    what Python would run.
    """
    reachable: bool = False
    """Whether the sanitizer keeps only code that the entry point reaches."""
    tests: str = "base"
    """The problem's tests for pass@k; `base_pass@k` always uses the base tests."""
    base_too: bool = False
    """Whether pass@k requires the base tests, too, as EvalPlus's leaderboard does."""
    seconds: float = Field(default=3.0, gt=0)
    """Smallest time limit of a program; it grows with the time of the reference solution on this machine."""


class Aggregate(Strict):
    """An additional score over a subset of a task's documents."""

    subset: str
    """Name of one of the task's subsets."""
    weights: Literal["documents", "members"] = "documents"
    """documents: the mean over the subset.

    members: the mean of the member tasks' means over the subset, weighted by all documents of each member
    (nvidia-lm-eval 25.5, `weight_by_size`).
    """


class PromptSpec(Strict):
    """How a recipe prompts and scores a task."""

    recipe: str
    task: str
    """The task's name in the recipe."""
    uses: str = ""
    """The task plug-in that gives rows and questions, if its name differs."""
    variant: str = ""
    """Name of an alternative to the recipe's main spec of the task; empty for the main spec."""
    version: int = Field(ge=1)
    source: Source
    format: Format
    split: str | None = None
    """Evaluated split, if it differs from the task's."""
    documents: DocumentsSpec = DocumentsSpec()
    members: tuple[str, ...] = ()
    """Member tasks to evaluate; empty for all of them."""
    description: str = ""
    """Template of the text before the first shot, with the variables `row` and `member`."""
    definition: str = ""
    """SHA-256 of a definition of lm-eval, which replaces all templates and the scorer (scorer `lm_eval`)."""
    question: str
    """Template of a question, with stem, choices, letters (or beginning, ending), member and row."""
    answer: str | None = None
    """Template of a shot's answer, with answer, gold, answers and solution in addition.

    Default: the text that would be scored as correct.
    """
    target: str | None = None
    """Template of a document's target as the reference defines it, which only dumps show.

    Default: the text that the scorer's reference takes from the solution (scoring/targets.py), or else the
        gold
    answer.
    """
    candidate: str = "{{ text }}"
    """Template of a scored text, with `text` (a choice, letter or accepted answer), row and member."""
    delimiter: str = " "
    """Text between a question and its answer; it belongs to the continuation."""
    separator: str = "\n\n"
    """Text after each shot."""
    letters: str = LETTERS
    order: tuple[NonNegativeInt, ...] | Literal["shuffled"] = ()
    """Order of a question's choices, as indices in the task's order.

    shuffled: shuffled for each document by `random.Random(its index in the split)` (OLMES's SciQ).
    """
    unconditional: str | None = None
    """Second context after which every choice is scored, for acc_mutual_info."""
    rewrite: tuple[Replacement, ...] = ()
    """Substitutions in a held-out text before it is scored, in order."""
    lengths: Literal["text", "continuation", "original"] = "text"
    """Length that acc_norm, acc_bytes and bits_per_byte divide by: of the text, or of text and delimiter.

    original: of a held-out text before `rewrite`, although another text is scored (a defect of lm-eval).
    """
    shots: Shots = Shots()
    bos: Bos = "never"
    join: Join = "joined"
    encoding: Encoding | None = None
    """How to encode if a token spans context and continuation.

    Default: as lm-eval if the spec reproduces another harness's number, else as evalsuite.
    """
    window: int | None = Field(default=None, ge=1)
    """Maximum tokens of a prompt, if the publication's program had a limit besides the model's."""
    stride: int | None = Field(default=None, ge=1)
    """Tokens that each window of a held-out text scores; the rest of the window is their context.

    Default: all but one, as in lm-eval.
    """
    overlong: Literal["fail", "drop_shots", "cut"] = "fail"
    """What happens to a prompt that is longer than the context window.

    fail: the document fails as too long, and is counted. drop_shots: shots are dropped from the end until it
        fits.
    cut: the context loses its beginning, until it fits together with the whole continuation (llm-foundry),
        or, if both are encoded apart, with what the model reads of it (Ai2's evaluations in training).
    """
    generation: GenerationSpec | None = None
    extraction: Extraction | None = None
    """Extraction of the metric `exact_match`; without one the whole text, stripped, is the answer."""
    extractions: dict[str, Extraction] = Field(default={})
    """Additional extractions, each of which is a metric of that name."""
    comparison: AnswerComparison = AnswerComparison()
    code: CodeRun | None = None
    math_verify: Literal["0.7", "0.9"] = "0.7"
    """Version of math-verify that judges (scorers of `BY_MATH_VERIFY`); 0.9 is a side package."""
    scorer: Scorer
    metrics: tuple[str, ...]
    """Names of the metrics; the first is the headline metric."""
    aggregation: Literal["micro", "macro"] = "micro"
    """micro: mean over documents. macro: unweighted mean over member tasks."""
    aggregates: dict[str, Aggregate] = Field(default={})
    """Scores of the headline metric over subsets, by name."""

    @model_validator(mode="after")
    def _fits_its_format(self) -> "PromptSpec":
        generated = self.format in GENERATED
        if generated and (self.generation is None or (self.answer is None and self.shots.count)):
            raise ValueError(f"format '{self.format}' needs 'generation', and 'answer' for its shots")
        if not generated and (self.generation or self.extraction or self.extractions):
            raise ValueError(f"format '{self.format}' generates no text: omit generation and extraction")
        whole = self.join == "rolling" and not (self.question or self.delimiter or self.shots.count)
        if self.format == "text" and not whole:
            raise ValueError("format 'text' needs join 'rolling', an empty question and delimiter, no shots")
        if self.format != "text" and (self.rewrite or self.stride or self.lengths == "original"):
            raise ValueError("rewrite, stride and lengths 'original' are for format 'text'")
        if (self.format == "code") != (self.code is not None):
            raise ValueError("format 'code' and the field 'code' belong together")
        if (self.scorer == "lm_eval") != bool(self.definition):
            raise ValueError("scorer 'lm_eval' and the field 'definition' belong together")
        if self.math_verify != "0.7" and self.scorer not in BY_MATH_VERIFY:
            raise ValueError(f"scorer '{self.scorer}' does not use math-verify: omit 'math_verify'")
        if self.scorer in READERS and (
            self.extraction or self.extractions or self.comparison != AnswerComparison()
        ):
            raise ValueError(
                f"scorer '{self.scorer}' finds and compares the answer itself: omit extraction and comparison"
            )
        if self.scorer not in (*_SCORERS[self.format], "lm_eval"):
            scorers = " or ".join(sorted(_SCORERS[self.format]))
            raise ValueError(f"the scorer of format '{self.format}' must be {scorers}, got {self.scorer}")
        return self

    @model_validator(mode="after")
    def _has_known_metrics(self) -> "PromptSpec":
        known = METRICS[self.scorer]
        unknown = [
            name for name in self.metrics if not (re.fullmatch(known, name) or name in self.extractions)
        ]
        if unknown or not self.metrics:
            shown = known.replace(r"\d+", "K").replace("|", ", ")
            raise ValueError(f"metrics of scorer '{self.scorer}' are {shown}; got {list(self.metrics)}")
        if self.scorer == "lm_eval":  # lm-eval itself checks what its metrics need.
            return self
        if self.order == "shuffled" and self.shots.split:
            raise ValueError("order 'shuffled' depends on a document's index, which shots from a split lack")
        if "acc_mutual_info" in self.metrics and self.unconditional is None:
            raise ValueError("acc_mutual_info needs 'unconditional', the context without the question")
        samples = self.generation.samples if self.generation else 1
        voters = [int(name.rpartition("@")[2]) for name in self.metrics if "@" in name]
        if voters and max(voters) > samples:
            raise ValueError(f"the metrics {self.metrics} need {max(voters)} samples; there are {samples}")
        return self

    @property
    def how_encoded(self) -> Encoding:
        """`encoding`, or the default for the spec's source."""
        return self.encoding or ("evalsuite" if self.source.status == "ours" else "lm_eval")

    @property
    def math_verify_version(self) -> str:
        """The side package's version of math-verify; empty for the one that evalsuite depends on."""
        return "" if self.math_verify == "0.7" else f"{self.math_verify}.0"

    @property
    def plugin(self) -> str:
        """Name of the task plug-in."""
        return self.uses or self.task

    @property
    def sha256(self) -> str:
        """Hash of all fields that can change a score, without the spec's source.

        Fields with their default value are omitted, so that a new field does not change existing hashes.
        """
        return sha256_of(self.model_dump(mode="json", exclude={"source", "target"}, exclude_defaults=True))
