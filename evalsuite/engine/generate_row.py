"""One request on its way: what was generated so far, and whether it is done."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from evalsuite.engine.loading import LoadedModel
from evalsuite.engine.protocol import Tokenizer
from evalsuite.engine.sampling import NO_TOKEN, generator_for
from evalsuite.engine.stops import StopFinder, cut_at_stop
from evalsuite.types import Failure, Finish, Generated, GenerateRequest

ENDLESS = 2**40
"""Context window, in tokens, of a model that states none."""

NOT_FINITE = (
    "the model gave NaN or infinity as logits for token {} of the text; its weights may have diverged, or its data "
    "type be too narrow (--dtype)"
)


@dataclass(slots=True)
class Row:
    """A request and its tokens so far."""

    request: GenerateRequest
    room: int
    """Tokens until the end of the context window."""
    finder: StopFinder
    generator: torch.Generator | None
    ids: list[int] = field(default_factory=list)
    """Generated so far."""
    answer: Generated | Failure | None = None


class Rows:
    """Makes rows, and says when they are done; keeps what all rows of a run share."""

    def __init__(self, loaded: LoadedModel, tokenizer: Tokenizer, max_length: int | None) -> None:
        self.window = max_length or ENDLESS
        self._decode: Callable = tokenizer.decode
        self._end_ids = loaded.eos_ids | ({tokenizer.eos_id} if tokenizer.eos_id is not None else set())
        self._finders: dict[tuple[str, ...], StopFinder] = {}

    def begin(self, request: GenerateRequest) -> Row:
        """A row without tokens."""
        finder = self._finders.setdefault(request.stop, StopFinder(request.stop, self._decode))
        return Row(request, self.window - len(request.context), finder, generator_for(request))

    def add(self, row: Row, token: int) -> None:
        """Give the row its next token, or NO_TOKEN; `row.answer` is there if it was the last."""
        if token == NO_TOKEN:
            row.answer = Failure(NOT_FINITE.format(len(row.ids) + 1))
            return
        row.ids.append(token)
        row.answer = self._answer_if_done(row)

    def _answer_if_done(self, row: Row) -> Generated | None:
        stops = row.finder.stops
        if row.ids[-1] in self._end_ids:
            return Generated(cut_at_stop(self._decode(row.ids[:-1]), stops), len(row.ids), "eos")
        finish: Finish | None = None
        if len(row.ids) >= row.request.max_tokens:
            finish = "length"
        elif len(row.ids) >= row.room:
            finish = "window"
        if finish is None and not row.finder.completed_by_last(row.ids):
            return None
        text = self._decode(row.ids)
        cut = cut_at_stop(text, stops)
        if len(cut) < len(text):
            finish = "stop"
        return Generated(cut, len(row.ids), finish) if finish else None
