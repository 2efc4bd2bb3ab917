"""The solved examples before a question: rows of a split, or worked examples of another package."""

from typing import Literal

from pydantic import Field, NonNegativeInt, model_validator

from evalsuite.files.strict import Strict


class Replacement(Strict):
    """A regular-expression substitution."""

    pattern: str
    by: str


class Exemplars(Strict):
    """Worked examples in another installed package; they are read at run time, never copied."""

    package: str
    """Distribution that contains the examples (`lm-eval`)."""
    version: str = ""
    """The only version that has them; it may be a side package (`evalsuite.files.side_packages`)."""
    file: str
    """A YAML file in it, a Python file (read, never run), or a dump of OLMES requests (`.jsonl.gz`).

    `{member}` stands for the name of the member task.
    """
    at: str = ""
    """YAML: dotted path to the list. Python: name of the function that returns the list as a literal.

    Not used for a dump, whose shots are the common beginning of all contexts.
    """
    description: str = ""
    """YAML: dotted path to a text before the first example; empty for none."""
    stem: str = "question"
    """Key of an item's question."""
    solution: str = "target"
    """Key of an item's answer."""
    replace: tuple[Replacement, ...] = ()
    """Substitutions in each answer, in order."""
    replace_stem: tuple[Replacement, ...] = ()
    """Substitutions in each question, in order."""
    prefix_sha256: str | dict[str, str]
    """SHA-256 of description and shots as rendered, to prove that they are the published text.

    By member task if each has examples of its own, of which it shows all if there are fewer than `count`.
    """

    @property
    def members(self) -> tuple[str, ...]:
        """Member tasks with examples of their own; one empty name if all have the same."""
        return tuple(self.prefix_sha256) if isinstance(self.prefix_sha256, dict) else ("",)

    def file_of(self, member: str) -> str:
        """The file with the examples of a member task."""
        return self.file.replace("{member}", member)


class Shots(Strict):
    """Solved examples before the question."""

    count: int = Field(default=0, ge=0)
    split: str | None = None
    """Split of the shots' rows; if a task has members, rows of the same member task."""
    draw: Literal["first", "fixed", "seeded", "by_document", "llm_foundry"] = "first"
    """first: the first rows. fixed: the listed rows.

    seeded: the reference harness's stream, with one `random.Random(seed)` per (member) task and one `sample`
        per
    document in document order.
    by_document: other evaluated documents, drawn for document i by `random.Random(seed + i)` (nanochat).

    llm_foundry: other evaluated documents, by one stream per (member) task; another single draw replaces the
        document
    itself, and the order is that of a Python set.
    """
    rows: tuple[NonNegativeInt, ...] | dict[str, tuple[NonNegativeInt, ...]] = ()
    """Row numbers for `fixed`, in prompt order; by member task (counted within it) if they differ."""
    seed: int = 1234
    spare: bool = False
    """Whether to draw one more row, drop rows equal to the document, and keep the first `count`.

    This is the n+1 rule of lm-eval 0.4 (api/samplers.py), which applies if evaluated and shot split are the
    same, None included.
    """
    exemplars: Exemplars | None = None
    """Worked examples in place of rows of a split."""

    @model_validator(mode="after")
    def _has_a_pool(self) -> "Shots":
        if self.count and not (self.split or self.exemplars):
            raise ValueError("shots need a split or exemplars")
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
        """Row numbers listed beyond `count`, which replace a shot that is the document itself."""
        return self._listed(member)[self.count :] if self.draw == "fixed" else ()

    def _listed(self, member: str) -> tuple[int, ...]:
        return self.rows.get(member, ()) if isinstance(self.rows, dict) else self.rows
