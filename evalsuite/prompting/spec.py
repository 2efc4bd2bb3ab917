"""A prompt spec: everything that decides what text a model sees and how its answer is judged.

Specs are data (`prompts/<recipe>/<task>[.<format>].yaml`), validated here; an unknown key is an error.
The hash of a spec goes into every result: two scores compare only where it is equal.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from evalsuite.types import Bos, Generation, sha256_of

Format = Literal["cloze", "letters", "generate"]
ChoiceMetric = Literal["acc", "acc_norm"]
FORMATS: tuple[Format, ...] = ("cloze", "letters", "generate")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """What a spec reproduces, and how well that is known."""

    publication: str = ""
    """The publication whose number the spec stands for."""
    reference: str = ""
    """Package, version and task that define it."""
    status: Literal["seen", "inferred", "stock", "ours"]
    """seen: the exact recipe was read. inferred: deduced. stock: a reference's own definition. ours."""
    notes: str = ""


class Replacement(_Strict):
    """A regular-expression substitution."""

    pattern: str
    by: str


class Exemplars(_Strict):
    """Worked examples that another installed package publishes; read at run time, never copied."""

    package: str
    """Distribution that carries them (`lm-eval`)."""
    file: str
    """YAML file inside it."""
    at: str
    """Dotted path to the list inside the file; each item has `question` and `target`."""
    replace: tuple[Replacement, ...] = ()
    """Applied to each target, in order."""
    prefix_sha256: str
    """SHA-256 of all rendered shots with their separators: proves that the text is the published one."""


class Shots(_Strict):
    """Solved examples before the question."""

    count: int = Field(default=0, ge=0)
    split: str | None = None
    """Split whose rows they are; rows of the same member task where a task has members."""
    draw: Literal["first", "fixed", "seeded"] = "first"
    """first rows; the listed rows; or the reference harness's stream: one `random.Random(seed)` per
    (member) task, one `sample` per document in document order."""
    rows: tuple[NonNegativeInt, ...] = ()
    """Row numbers for `fixed`, in prompt order."""
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
        if self.draw == "fixed" and self.count > len(self.rows):
            raise ValueError(
                f"{self.count} fixed shots need {self.count} row numbers; there are {len(self.rows)}"
            )
        return self


class GenerationSpec(_Strict):
    """How the answer is generated. What a spec leaves out takes the reference harness's default."""

    stop: tuple[str, ...] = ()
    max_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    samples: int = Field(default=1, ge=1)

    def settings(self) -> Generation:
        """As the value that requests are made of."""
        return Generation(**self.model_dump())

    def reference_arguments(self) -> dict[str, Any]:
        """The arguments as lm-eval spells them; those that the spec leaves out are left out."""
        spelled = {"until": list(self.stop), "do_sample": self.temperature > 0}
        if "max_tokens" in self.model_fields_set:
            spelled["max_gen_toks"] = self.max_tokens
        if "temperature" in self.model_fields_set:
            spelled["temperature"] = self.temperature
        if "top_p" in self.model_fields_set:
            spelled["top_p"] = self.top_p
        return spelled


class Extraction(_Strict):
    """Finds the answer in a generated text: the first pattern that matches decides."""

    patterns: tuple[str, ...]
    """Regular expressions; the first group that matched is the answer, else the whole match."""
    take: Literal["first", "last"] = "first"
    """Which match of the pattern."""


class PromptSpec(_Strict):
    """One task asked in one way."""

    recipe: str
    task: str
    version: int = Field(ge=1)
    source: Source
    format: Format
    split: str | None = None
    """Evaluated split, where it is not the task's own."""
    description: str = ""
    """Text before the first shot; a template that sees `row`."""
    question: str
    """Template of a question: sees stem, choices, letters (or beginning, ending), and row."""
    answer: str | None = None
    """Template of a shot's answer; sees also answer, gold, solution. Default: what would be scored as right."""
    delimiter: str = " "
    """Between a question and its answer; it belongs to the continuation."""
    separator: str = "\n\n"
    """After each shot."""
    letters: str = LETTERS
    shots: Shots = Shots()
    bos: Bos = "never"
    overlong: Literal["fail", "drop_shots"] = "fail"
    """A prompt longer than the context window: the document fails as too long (and is counted), or
    shots are dropped from the end until it fits."""
    generation: GenerationSpec | None = None
    extraction: Extraction | None = None
    scorer: Literal["choice", "exact_match", "math_verify"]
    ignore: tuple[str, ...] = ()
    """exact_match: regular expressions removed from both sides before they are compared."""
    metrics: tuple[str, ...]
    """The first is the headline."""
    aggregation: Literal["micro", "macro"] = "micro"
    """Mean over documents, or plain mean over member tasks."""

    @model_validator(mode="after")
    def _fits_its_format(self) -> "PromptSpec":
        wanted: set[str]
        known: tuple[str, ...]
        if self.format == "generate":
            if self.generation is None or self.answer is None:
                raise ValueError("format 'generate' needs 'generation' and 'answer'")
            wanted, known = {"exact_match", "math_verify"}, ("exact_match",)
        else:
            if self.generation or self.extraction:
                raise ValueError(
                    f"format '{self.format}' generates nothing: leave out generation and extraction"
                )
            wanted, known = {"choice"}, ("acc", "acc_norm")
        if self.scorer not in wanted:
            raise ValueError(
                f"format '{self.format}' is scored by {' or '.join(sorted(wanted))}, not {self.scorer}"
            )
        strange = [metric for metric in self.metrics if metric not in known]
        if strange or not self.metrics:
            raise ValueError(
                f"metrics of scorer '{self.scorer}' are {', '.join(known)}; got {list(self.metrics)}"
            )
        return self

    @property
    def sha256(self) -> str:
        """Hash of everything that can change a score; where a spec comes from is not part of it."""
        return sha256_of(self.model_dump(mode="json", exclude={"source"}))
