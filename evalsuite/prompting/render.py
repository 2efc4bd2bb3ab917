"""Renders a typed question into the exact text that a model sees."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from evalsuite.errors import UserError
from evalsuite.prompting.exemplars import dumped_shots, read_exemplars
from evalsuite.prompting.shots import Exemplars
from evalsuite.prompting.spec import GENERATED, PromptSpec
from evalsuite.prompting.templates import compile_template
from evalsuite.types import (
    ClozePair,
    CodeProblem,
    Document,
    HeldOutText,
    MultipleChoice,
    OpenAnswer,
    Prompt,
    Question,
    Row,
    sha256_of,
)

_DEFAULT_ANSWERS = {"cloze": "{{ gold }}", "letters": "{{ letters[answer] }}", "gold": "{{ gold }}"}


class Renderer:
    """Renders the prompts of one spec; renders each shot only once."""

    def __init__(self, spec: PromptSpec, read: Callable[[Row], Question]) -> None:
        """Compile the templates and read the exemplars of a spec.

        Args:
            spec: the prompt spec.
            read: the task's function that reads rows as questions, used for shots.

        Raises:
            UserError: a template does not parse, or exemplars are missing or differ from the published ones.
        """
        self._name = where = f"{spec.recipe}/{spec.task}"
        self._spec = spec
        self._read = read
        self._description = compile_template(spec.description, f"{where}: description")
        self._question = compile_template(spec.question, f"{where}: question")
        answer = spec.answer if spec.answer is not None else _DEFAULT_ANSWERS.get(spec.format, "")
        self._answer = compile_template(answer, f"{where}: answer")
        self._candidate = compile_template(spec.candidate, f"{where}: candidate")
        self._rewrite = [(re.compile(one.pattern), one.by) for one in spec.rewrite]
        self._target = compile_template(spec.target or "", f"{where}: target")
        # By id of the row. The row is kept, too, since its id could be reused once it is deleted.
        self._shot_texts: dict[int, tuple[Row, str]] = {}
        self._exemplars = self._checked_exemplars()

    def prompt(self, document: Document, shots: Sequence[Row], most_shots: int | None = None) -> Prompt:
        """The prompt of one document.

        Args:
            document: the document with its question.
            shots: rows of the shots, in prompt order; ignored if the spec has exemplars.
            most_shots: maximum number of shots, of which the first ones are kept.
        """
        row, member = document.row, document.member
        described, solved = self._exemplars_of(member)
        solved = solved or [self._shot_of_row(shot, member) for shot in shots]
        kept = solved[:most_shots]
        before = self._description(row=row, member=member) + described + "".join(kept)
        asked = [before + self._question(**view) for view in self._views(document.question, row, member)]
        texts = tuple(self._spec.delimiter + text for text in self._candidates(document))
        if self._spec.unconditional is not None:
            asked = asked * (len(texts) if len(asked) == 1 else 1) + [self._spec.unconditional] * len(texts)
            texts *= 2
        return Prompt(
            contexts=tuple(asked),
            continuations=texts,
            generation=self._spec.generation.settings(member) if self._spec.generation else None,
            bos=self._spec.bos,
            join=self._spec.join,
            encoding=self._spec.how_encoded,
            preamble=len(before) - (len(self._spec.separator) if kept else 0),
            stride=self._spec.stride,
        )

    def target(self, document: Document) -> str:
        """The document's target as the reference defines it; empty if the spec has no such template."""
        view = self._views(document.question, document.row, document.member)[0]
        return self._target(**view, **_solved(document.question))

    def exemplar_count(self, member: str) -> int:
        """Number of exemplars that a document of the member task shows; 0 if its shots are rows."""
        return len(self._exemplars_of(member)[1])

    def _exemplars_of(self, member: str) -> tuple[str, list[str]]:
        """The text before the first exemplar and the exemplars; empty if the spec has none."""
        if not self._exemplars:
            return "", []
        name = member if member in self._exemplars else ""
        if name not in self._exemplars:
            raise UserError(f"{self._name} has no exemplars of the member task '{member}'.")
        return self._exemplars[name]

    def _candidates(self, document: Document) -> tuple[str, ...]:
        """The texts whose log-likelihoods are compared; empty for generation."""
        texts = self._plain_candidates(document.question)
        if self._spec.candidate == "{{ text }}":
            return texts
        return tuple(self._candidate(text=text, row=document.row, member=document.member) for text in texts)

    def _plain_candidates(self, question: Question) -> tuple[str, ...]:
        match question:
            case _ if self._spec.format in GENERATED:
                return ()
            case MultipleChoice(choices=choices) | ClozePair(beginnings=choices) if (
                self._spec.format == "letters"
            ):
                if len(choices) > len(self._spec.letters):
                    raise UserError(
                        f"{self._name}: a question has {len(choices)} choices, more than the "
                        f"{len(self._spec.letters)} letters; give 'letters' in the spec or use format cloze."
                    )
                return tuple(self._spec.letters[: len(choices)])
            case MultipleChoice(choices=choices, answer=answer):
                return (choices[answer],) if self._spec.format == "gold" else choices
            case ClozePair(beginnings=beginnings, ending=ending) if self._spec.format == "cloze":
                return (ending,) * len(beginnings)
            case OpenAnswer(answers=answers) if self._spec.format == "gold":
                return answers
            case HeldOutText(text=text) if self._spec.format == "text":
                for pattern, by in self._rewrite:
                    text = pattern.sub(by, text)
                return (text,)
        raise UserError(
            f"{self._name}: the format '{self._spec.format}' does not support a {type(question).__name__}."
        )

    def _views(self, question: Question, row: Row, member: str) -> list[dict[str, Any]]:
        """Template variables of the question; for a cloze pair one set per beginning."""
        shared = {"row": row, "letters": self._spec.letters, "member": member}
        match question:
            case MultipleChoice(stem=stem, choices=choices):
                return [shared | {"stem": stem, "choices": choices}]
            case ClozePair(beginnings=beginnings, ending=ending) if self._spec.format == "letters":
                return [shared | {"beginnings": beginnings, "ending": ending}]
            case ClozePair(beginnings=beginnings, ending=ending):
                return [shared | {"beginning": text, "ending": ending} for text in beginnings]
            case OpenAnswer(stem=stem):
                return [shared | {"stem": stem}]
            case CodeProblem(stem=stem, entry_point=entry_point):
                return [shared | {"stem": stem, "entry_point": entry_point}]
            case HeldOutText():
                return [shared]

    def _shot_of_row(self, row: Row, member: str) -> str:
        if id(row) not in self._shot_texts:
            self._shot_texts[id(row)] = row, self._shot(self._read(row), row, member)
        return self._shot_texts[id(row)][1]

    def _shot(self, question: Question, row: Row, member: str) -> str:
        """A shot: question, delimiter, answer, separator."""
        views = self._views(question, row, member)
        view = views[question.answer] if isinstance(question, ClozePair) and len(views) > 1 else views[0]
        answer = self._answer(**view, **_solved(question))
        return self._question(**view) + self._spec.delimiter + answer + self._spec.separator

    def _checked_exemplars(self) -> dict[str, tuple[str, list[str]]]:
        """By member task, the text before the first exemplar and the exemplars that the spec shows."""
        exemplars, count = self._spec.shots.exemplars, self._spec.shots.count
        if exemplars is None:
            return {}
        found = {member: self._published(exemplars, member) for member in exemplars.members}
        if max(len(texts) for _, texts in found.values()) < count:
            most = max(len(texts) for _, texts in found.values())
            raise UserError(f"{self._name} has {most} exemplars, too few for {count} shots.")
        return {member: (described, texts[:count]) for member, (described, texts) in found.items()}

    def _published(self, exemplars: Exemplars, member: str) -> tuple[str, list[str]]:
        """The exemplars of a member task as rendered, if they are the published ones."""
        described = ""
        if exemplars.file.endswith(".jsonl.gz"):
            texts = dumped_shots(exemplars, self._spec.separator)
        else:
            examples, described = read_exemplars(exemplars, member)
            texts = [self._shot(question, item, member) for question, item in examples]
        known = exemplars.prefix_sha256
        expected = known[member] if isinstance(known, dict) else known
        found = sha256_of(described + "".join(texts))
        if found != expected:
            raise UserError(
                f"{self._name}: the shots from {exemplars.package} differ from the published ones (SHA-256 "
                f"of the prefix is {found[:12]}..., expected {expected[:12]}...); install the "
                "version that the recipe names."
            )
        return described, texts


def _solved(question: Question) -> dict[str, Any]:
    """Template variables of the gold answer."""
    match question:
        case MultipleChoice(choices=choices, answer=answer):
            return {"answer": answer, "gold": choices[answer]}
        case ClozePair(ending=ending, answer=answer):
            return {"answer": answer, "gold": ending}
        case OpenAnswer(answers=answers, solution=solution):
            return {"answers": answers, "gold": answers[0] if answers else solution, "solution": solution}
        case CodeProblem(solution=solution, tests=tests):
            return {"gold": solution, "solution": solution, "tests": tests}
        case HeldOutText(text=text):
            return {"gold": text}
