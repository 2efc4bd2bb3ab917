"""A prompt spec: everything that decides what text a model sees and how its answer is judged.

Specs are data (`prompts/<recipe>/<task>[.<form>].yaml`), validated here; an unknown key is an error.
The hash of a spec goes into every result: two scores compare only where it is equal.
"""

import re
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, model_validator

from evalsuite.files.strict import Strict
from evalsuite.types import Backend, Bos, Encoding, Generation, Join, sha256_of

Format = Literal["cloze", "letters", "gold", "generate", "code"]
FORMATS: tuple[Format, ...] = ("cloze", "letters", "gold", "generate", "code")
"""cloze: the log-likelihood of each choice's text. letters: options listed, the log-likelihood of each
letter.
gold: the log-likelihood of the accepted answers. generate: free text, then extraction. code: a program, then
its tests."""
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
    "minerva_math",
    "hendrycks_math",
    "code",
    "lm_eval",
]
"""What judges an answer; docs/grading.md says how each does. The text scorers that read answers themselves:
`number` (the value that a solution's final statement gives) and the judges of mathematics. `exact_match`
needs an extraction where the answer is not the whole text."""

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
    "minerva_math": r"exact_match|math_verify",
    "hendrycks_math": r"exact_match",
    "code": r"pass@\d+|base_pass@\d+",
    "lm_eval": r".+",
}
"""Metrics of each scorer, as a regular expression; a spec's named extractions are metrics too."""
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
        "minerva_math",
        "hendrycks_math",
    ),
    "code": ("code",),
}


READERS: tuple[Scorer, ...] = ("number", "math_answer")
"""Scorers of recipe `evalsuite` that find the answer in a text themselves."""


class Source(Strict):
    """What a spec reproduces, and how well that is known."""

    publication: str = ""
    """The publication whose number the spec stands for."""
    reference: str = ""
    """Package, version and task that define it."""
    status: Literal["seen", "inferred", "stock", "ours"]
    """seen: the exact recipe was read. inferred: deduced. stock: a reference's own definition. ours."""
    notes: str = ""


class Replacement(Strict):
    """A regular-expression substitution."""

    pattern: str
    by: str


class Exemplars(Strict):
    """Worked examples that another installed package publishes; read at run time, never copied."""

    package: str
    """Distribution that carries them (`lm-eval`)."""
    file: str
    """A YAML file inside it, a Python file (read, never run), or a dump of OLMES requests (`.jsonl.gz`)."""
    at: str = ""
    """YAML: dotted path to the list. Python: name of the function that returns the list, written out. Of a
    dump the shots are the common beginning of all contexts."""
    stem: str = "question"
    """Key of an item's question."""
    solution: str = "target"
    """Key of its answer."""
    replace: tuple[Replacement, ...] = ()
    """Applied to each answer, in order."""
    replace_stem: tuple[Replacement, ...] = ()
    """Applied to each question."""
    prefix_sha256: str
    """SHA-256 of all rendered shots with their separators: proves that the text is the published one."""


class Shots(Strict):
    """Solved examples before the question."""

    count: int = Field(default=0, ge=0)
    split: str | None = None
    """Split whose rows they are; rows of the same member task where a task has members."""
    draw: Literal["first", "fixed", "seeded"] = "first"
    """first rows; the listed rows; or the reference harness's stream: one `random.Random(seed)` per
    (member) task, one `sample` per document in document order."""
    rows: tuple[NonNegativeInt, ...] | dict[str, tuple[NonNegativeInt, ...]] = ()
    """Row numbers for `fixed`, in prompt order; by member task where they differ (numbers among its rows)."""
    seed: int = 1234
    spare: bool = False
    """The n+1 rule: draw one more, drop rows equal to the document, keep the first `count`
    (lm-eval 0.4, api/samplers.py: where evaluated and shot split are the same, None included)."""
    exemplars: Exemplars | None = None
    """In place of a split."""

    @model_validator(mode="after")
    def _has_a_pool(self) -> "Shots":
        if self.count and not (self.split or self.exemplars):
            raise ValueError("shots need a split or exemplars to come from")
        if self.draw == "fixed":
            fewest = (
                min(map(len, self.rows.values()), default=0)
                if isinstance(self.rows, dict)
                else len(self.rows)
            )
            if self.count > fewest:
                raise ValueError(
                    f"{self.count} fixed shots need {self.count} row numbers; there are {fewest}"
                )
        return self

    def fixed_rows(self, member: str) -> tuple[int, ...]:
        """Row numbers of the fixed shots of a member task (empty name: a task without members)."""
        return self._listed(member)[: self.count]

    def spare_rows(self, member: str) -> tuple[int, ...]:
        """Row numbers that are listed beyond `count`: they stand in for a shot that is the document
        itself."""
        return self._listed(member)[self.count :] if self.draw == "fixed" else ()

    def _listed(self, member: str) -> tuple[int, ...]:
        return self.rows.get(member, ()) if isinstance(self.rows, dict) else self.rows


class GenerationSpec(Strict):
    """How the answer is generated. What a spec leaves out takes the reference harness's default."""

    stop: tuple[str, ...] | dict[str, tuple[str, ...]] = ()
    """Stop strings; by member task where they differ."""
    max_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    samples: int = Field(default=1, ge=1)
    backend: Backend = "evalsuite"
    """lm_eval_hf: as lm-eval's `hf` backend, see `types.Backend`."""

    def settings(self, member: str = "") -> Generation:
        """As the value that requests are made of."""
        return Generation(**self.model_dump(exclude={"stop"}), stop=self.stops(member))

    def stops(self, member: str = "") -> tuple[str, ...]:
        """The stop strings of a member task."""
        return self.stop[member] if isinstance(self.stop, dict) else self.stop

    def reference_arguments(self, member: str = "") -> dict[str, Any]:
        """The arguments as lm-eval spells them; those that the spec leaves out are left out."""
        spelled = {"until": list(self.stops(member)), "do_sample": self.temperature > 0}
        if "max_tokens" in self.model_fields_set:
            spelled["max_gen_toks"] = self.max_tokens
        if "temperature" in self.model_fields_set:
            spelled["temperature"] = self.temperature
        if "top_p" in self.model_fields_set:
            spelled["top_p"] = self.top_p
        return spelled


class Extraction(Strict):
    """Finds the answer in a generated text: the first pattern that matches decides."""

    patterns: tuple[str, ...] = ()
    """Regular expressions; the first group that matched is the answer, else the whole match."""
    member_patterns: dict[str, tuple[str, ...]] = Field(default={})
    """By member task, in place of `patterns`."""
    take: Literal["first", "last"] = "first"
    """Which match of the pattern."""
    otherwise: str | None = None
    """The answer where nothing matches; a majority vote counts it. None: no answer, which does not vote."""


class Comparison(Strict):
    """How exact_match reduces both sides before it compares them, in this order (lm-eval 0.4,
    api/metrics.py)."""

    ignore: tuple[str, ...] = ()
    """Regular expressions that are removed."""
    ignore_case: bool = False
    ignore_punctuation: bool = False
    """Characters of `string.punctuation` are removed."""


class CodeRun(Strict):
    """How a generated text becomes a program that is tested."""

    program: str = "{{ text }}"
    """Template of the program: sees text, stem, entry_point and row."""
    sanitize: Literal["no", "evalplus", "nvidia", "python"] = "no"
    """How the program is found in the text: EvalPlus 0.3.1's sanitiser, nvidia-lm-eval 25.5's edit of it, or
    our own, which keeps what Python would run."""
    reachable: bool = False
    """The sanitiser keeps only what the entry point reaches."""
    tests: str = "base"
    """Which of the problem's tests decide pass@k; `base_pass@k` is always the base tests'."""
    base_too: bool = False
    """pass@k asks for the base tests, too, as EvalPlus's leaderboard does."""
    seconds: float = Field(default=3.0, gt=0)
    """Least time limit of a program; grows with the time that the reference solution takes here."""


class Aggregate(Strict):
    """A score over some of a task's documents, beside its headline."""

    subset: str
    """Name of one of the task's subsets."""
    weights: Literal["documents", "members"] = "documents"
    """documents: the plain mean over the subset. members: the member tasks' means over the subset, weighted
    by all documents of each member (nvidia-lm-eval 25.5, `weight_by_size`)."""


class PromptSpec(Strict):
    """One task asked in one way."""

    recipe: str
    task: str
    """The task's name in the recipe."""
    uses: str = ""
    """The task plug-in that gives rows and questions, where it has another name."""
    variant: str = ""
    """Name of an alternative to the recipe's main spec of the task; empty for that one."""
    version: int = Field(ge=1)
    source: Source
    format: Format
    split: str | None = None
    """Evaluated split, where it is not the task's own."""
    members: tuple[str, ...] = ()
    """Member tasks that are evaluated; empty for all of them."""
    description: str = ""
    """Text before the first shot; a template that sees `row` and `member`."""
    definition: str = ""
    """SHA-256 of a definition of lm-eval's own, which renders and scores in place of all templates (scorer
    `lm_eval`)."""
    question: str
    """Template of a question: sees stem, choices, letters (or beginning, ending), member and row."""
    answer: str | None = None
    """Template of a shot's answer; sees also answer, gold, answers, solution. Default: what would be scored
    as right."""
    target: str | None = None
    """Template of what the reference calls a document's target; only dumps show it. Default: what the
    scorer's reference takes from the solution (scoring/targets.py), else the gold answer."""
    candidate: str = "{{ text }}"
    """Template of a scored text: sees `text` (a choice, letter or accepted answer), row and member."""
    delimiter: str = " "
    """Between a question and its answer; it belongs to the continuation."""
    separator: str = "\n\n"
    """After each shot."""
    letters: str = LETTERS
    order: tuple[NonNegativeInt, ...] | Literal["shuffled"] = ()
    """Order of a question's choices: their places in the task's own order, or shuffled for each document by
    `random.Random(its place in the split)` (OLMES's SciQ)."""
    unconditional: str | None = None
    """Context after which every choice is scored once more, for acc_mutual_info."""
    lengths: Literal["text", "continuation"] = "text"
    """What acc_norm, acc_bytes and bits_per_byte divide by: the length of the scored text, or with its
    delimiter."""
    shots: Shots = Shots()
    bos: Bos = "never"
    join: Join = "joined"
    encoding: Encoding | None = None
    """What happens where tokens and texts do not meet; by default lm-eval's way where the spec reproduces
    another harness's number, else evalsuite's."""
    window: int | None = Field(default=None, ge=1)
    """Most tokens of a prompt, where the publication's program had a limit besides the model's."""
    overlong: Literal["fail", "drop_shots"] = "fail"
    """A prompt longer than the context window: the document fails as too long (and is counted), or
    shots are dropped from the end until it fits."""
    generation: GenerationSpec | None = None
    extraction: Extraction | None = None
    """Of the metric `exact_match`; without one the whole text, stripped, is the answer."""
    extractions: dict[str, Extraction] = Field(default={})
    """Further extractions, each a metric by its name."""
    comparison: Comparison = Comparison()
    code: CodeRun | None = None
    scorer: Scorer
    metrics: tuple[str, ...]
    """The first is the headline."""
    aggregation: Literal["micro", "macro"] = "micro"
    """Mean over documents, or plain mean over member tasks."""
    aggregates: dict[str, Aggregate] = Field(default={})
    """Scores over subsets, by name: of the headline metric."""

    @model_validator(mode="after")
    def _fits_its_format(self) -> "PromptSpec":
        generated = self.format in GENERATED
        if generated and (self.generation is None or (self.answer is None and self.shots.count)):
            raise ValueError(f"format '{self.format}' needs 'generation', and 'answer' for its shots")
        if not generated and (self.generation or self.extraction or self.extractions):
            raise ValueError(f"format '{self.format}' generates nothing: leave out generation and extraction")
        if (self.format == "code") != (self.code is not None):
            raise ValueError("format 'code' and the field 'code' belong together")
        if (self.scorer == "lm_eval") != bool(self.definition):
            raise ValueError("scorer 'lm_eval' and the field 'definition' belong together")
        if self.scorer in READERS and (
            self.extraction or self.extractions or self.comparison != Comparison()
        ):
            raise ValueError(
                f"scorer '{self.scorer}' finds and compares the answer itself: leave out extraction and comparison"
            )
        if self.scorer not in (*_SCORERS[self.format], "lm_eval"):
            wanted = " or ".join(sorted(_SCORERS[self.format]))
            raise ValueError(f"format '{self.format}' is scored by {wanted}, not {self.scorer}")
        return self

    @model_validator(mode="after")
    def _has_known_metrics(self) -> "PromptSpec":
        known = METRICS[self.scorer]
        strange = [
            name for name in self.metrics if not (re.fullmatch(known, name) or name in self.extractions)
        ]
        if strange or not self.metrics:
            shown = known.replace(r"\d+", "K").replace("|", ", ")
            raise ValueError(f"metrics of scorer '{self.scorer}' are {shown}; got {list(self.metrics)}")
        if self.scorer == "lm_eval":  # What its metrics need, lm-eval asks.
            return self
        if self.order == "shuffled" and self.shots.split:
            raise ValueError("order 'shuffled' is of documents; shots from a split have no place among them")
        if "acc_mutual_info" in self.metrics and self.unconditional is None:
            raise ValueError("acc_mutual_info needs 'unconditional', the context without the question")
        samples = self.generation.samples if self.generation else 1
        voters = [int(name.rpartition("@")[2]) for name in self.metrics if "@" in name]
        if voters and max(voters) > samples:
            raise ValueError(f"{max(voters)} samples are needed for {self.metrics}; there are {samples}")
        return self

    @property
    def how_encoded(self) -> Encoding:
        """`encoding`, or what is usual for the spec's source."""
        return self.encoding or ("evalsuite" if self.source.status == "ours" else "lm_eval")

    @property
    def plugin(self) -> str:
        """Name of the task plug-in."""
        return self.uses or self.task

    @property
    def sha256(self) -> str:
        """Hash of everything that can change a score; where a spec comes from is not part of it.

        Fields at their default are left out, so that a new field changes no hash.
        """
        return sha256_of(self.model_dump(mode="json", exclude={"source", "target"}, exclude_defaults=True))
