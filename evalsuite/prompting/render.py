"""From a typed question to the exact text that a model sees."""

from collections.abc import Callable, Sequence
from typing import Any

from evalsuite.errors import UserError
from evalsuite.prompting.exemplars import read_exemplars
from evalsuite.prompting.spec import PromptSpec
from evalsuite.prompting.templates import compile_template
from evalsuite.types import ClozePair, Document, MultipleChoice, OpenAnswer, Prompt, Question, Row, sha256_of

_DEFAULT_ANSWERS = {"cloze": "{{ gold }}", "letters": "{{ letters[answer] }}"}


class Renderer:
    """Renders the prompts of one spec; each shot's text is rendered once."""

    def __init__(self, spec: PromptSpec, read: Callable[[Row], Question]) -> None:
        """
        Args:
            spec: what to render.
            read: the task's reader of rows, used for shots.

        Raises:
            UserError: a template does not parse, or exemplars are missing or not the published ones.
        """
        self._name = where = f"{spec.recipe}/{spec.task}"
        self._spec = spec
        self._read = read
        self._description = compile_template(spec.description, f"{where}: description")
        self._question = compile_template(spec.question, f"{where}: question")
        answer = spec.answer if spec.answer is not None else _DEFAULT_ANSWERS[spec.format]
        self._answer = compile_template(answer, f"{where}: answer")
        # By id of the row, which is kept too: an id is free for another row once its owner is gone.
        self._shot_texts: dict[int, tuple[Row, str]] = {}
        self._exemplars = self._checked_exemplars()

    def prompt(self, document: Document, shots: Sequence[Row], most_shots: int | None = None) -> Prompt:
        """The prompt of one document.

        Args:
            document: the question asked.
            shots: rows shown before it, in prompt order; ignored where the spec has exemplars.
            most_shots: show only that many of them (the first ones).
        """
        solved = self._exemplars or [self._shot_of_row(row) for row in shots]
        before = self._description(row=document.row) + "".join(solved[:most_shots])
        asked = [before + self._question(**view) for view in self._views(document.question, document.row)]
        return Prompt(
            contexts=tuple(asked),
            continuations=tuple(self._spec.delimiter + text for text in self._candidates(document.question)),
            generation=self._spec.generation.settings() if self._spec.generation else None,
            bos=self._spec.bos,
        )

    def _candidates(self, question: Question) -> tuple[str, ...]:
        """The texts whose log-likelihoods are compared; none for generation."""
        match question:
            case _ if self._spec.format == "generate":
                return ()
            case MultipleChoice(choices=choices) if self._spec.format == "letters":
                if len(choices) > len(self._spec.letters):
                    raise UserError(
                        f"{self._name}: a question has {len(choices)} choices, more than the "
                        f"{len(self._spec.letters)} letters; give 'letters' in the spec or use format cloze."
                    )
                return tuple(self._spec.letters[: len(choices)])
            case MultipleChoice(choices=choices):
                return choices
            case ClozePair(beginnings=beginnings, ending=ending) if self._spec.format == "cloze":
                return (ending,) * len(beginnings)
        raise UserError(
            f"{self._name}: a {type(question).__name__} cannot be asked in the format '{self._spec.format}'."
        )

    def _views(self, question: Question, row: Row) -> list[dict[str, Any]]:
        """Template variables of the question: one view, or one per candidate beginning of a cloze pair."""
        shared = {"row": row, "letters": self._spec.letters}
        match question:
            case MultipleChoice(stem=stem, choices=choices):
                return [shared | {"stem": stem, "choices": choices}]
            case ClozePair(beginnings=beginnings, ending=ending):
                return [shared | {"beginning": text, "ending": ending} for text in beginnings]
            case OpenAnswer(stem=stem):
                return [shared | {"stem": stem}]

    def _shot_of_row(self, row: Row) -> str:
        if id(row) not in self._shot_texts:
            self._shot_texts[id(row)] = row, self._shot(self._read(row), row)
        return self._shot_texts[id(row)][1]

    def _shot(self, question: Question, row: Row) -> str:
        """Question, delimiter, answer, separator."""
        views = self._views(question, row)
        match question:
            case MultipleChoice(choices=choices, answer=answer):
                view, solved = views[0], {"answer": answer, "gold": choices[answer]}
            case ClozePair(ending=ending, answer=answer):
                view, solved = views[answer], {"answer": answer, "gold": ending}
            case OpenAnswer(answers=answers, solution=solution):
                view, solved = views[0], {"answers": answers, "solution": solution}
        spec = self._spec
        return self._question(**view) + spec.delimiter + self._answer(**view, **solved) + spec.separator

    def _checked_exemplars(self) -> list[str]:
        exemplars = self._spec.shots.exemplars
        if exemplars is None:
            return []
        texts = [self._shot(question, {}) for question in read_exemplars(exemplars)]
        found = sha256_of("".join(texts))
        if found != exemplars.prefix_sha256:
            raise UserError(
                f"{self._name}: the shots made from {exemplars.package} are not the published ones (SHA-256 of "
                f"the prefix {found[:12]}..., expected {exemplars.prefix_sha256[:12]}...); install the version "
                "that the recipe names."
            )
        if len(texts) < self._spec.shots.count:
            raise UserError(
                f"{self._name} has {len(texts)} exemplars, too few for {self._spec.shots.count} shots."
            )
        return texts[: self._spec.shots.count]
