"""Divides a run's documents into portions, so that the tokens of long texts never are in memory together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.document import DocumentRequests
from evalsuite.types import HeldOutText, Sample

CHARACTERS = 4_000_000
"""Text of one portion, in characters: about a million tokens, which need some hundred bytes each."""


def portions(tasks: Sequence[PreparedTask]) -> Iterator[list[PreparedTask]]:
    """Tasks that are encoded, planned and answered together.

    All tasks are one portion, so that they share their prefixes, except held-out texts, which share none: of
    these, a portion is a part of one task. Portions depend on the texts alone, so that a resumed run and all
    shards have the same.
    """
    if others := [one for one in tasks if one.selected.spec.format != "text"]:
        yield others
    for one in tasks:
        if one.selected.spec.format == "text":
            yield from ([part] for part in _parts(one))


def _parts(one: PreparedTask) -> Iterator[PreparedTask]:
    start = size = 0
    for index, document in enumerate(one.documents):
        assert isinstance(document.question, HeldOutText)
        if size and size + len(document.question.text) > CHARACTERS:
            yield one.part(start, index)
            start, size = index, 0
        size += len(document.question.text)
    yield one.part(start, len(one.documents))


@dataclass
class JudgedSoFar:
    """The documents of one task that have been judged, without their token ids."""

    samples: list[Sample] = field(default_factory=list)
    asked: list[DocumentRequests] = field(default_factory=list)
    cost: tuple[float, float] = (0.0, 0.0)
    """Tokens and seconds."""
    token_notes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def add(self, other: "JudgedSoFar") -> None:
        """Add the next documents of the task."""
        self.samples += other.samples
        self.asked += [document.without_tokens() for document in other.asked]
        self.cost = added(self.cost, other.cost)
        self.token_notes = tuple(dict.fromkeys((*self.token_notes, *other.token_notes)))
        self.notes = tuple(dict.fromkeys((*self.notes, *other.notes)))


def added(one: tuple[float, float] | None, other: tuple[float, float]) -> tuple[float, float]:
    """The sums of two costs, each in tokens and seconds."""
    return other if one is None else (one[0] + other[0], one[1] + other[1])
