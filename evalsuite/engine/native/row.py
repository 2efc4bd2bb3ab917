"""One request on its way: what was generated so far, and whether it is done."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from evalsuite.engine.native.controls import Control, Controls
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.sampling import NO_TOKEN, chosen_tokens, generator_for
from evalsuite.engine.native.texts import Decoder, RowText, TextRules
from evalsuite.types import Failure, Finish, Generated, GenerateRequest

ENDLESS = 2**40
"""Context window, in tokens, of a model that states none."""

NOT_FINITE = (
    "the model gave NaN or infinity as logits for token {} of the text; its weights may have diverged, or its data "
    "type be too narrow (--dtype)"
)


@dataclass(slots=True)
class GrowingRow:
    """A request and its tokens so far."""

    request: GenerateRequest
    limit: int
    """Most tokens of its text."""
    room: int
    """Tokens until the end of the context window."""
    text: RowText
    generator: torch.Generator | None
    control: Control | None = None
    """What changes its logits before a token is chosen."""
    ids: list[int] = field(default_factory=list)
    """Generated so far."""
    answer: Generated | Failure | None = None

    @property
    def left(self) -> int:
        """Tokens that may still come."""
        return min(self.limit, self.room) - len(self.ids)


class GrowingRows:
    """Makes rows, and says when they are done; keeps what all rows of a run share."""

    def __init__(self, loaded: LoadedModel, tokenizer: Decoder, max_length: int | None) -> None:
        self.window = max_length or ENDLESS
        self._tokenizer = tokenizer
        self._end_ids = loaded.eos_ids | ({tokenizer.eos_id} if tokenizer.eos_id is not None else set())
        self._rules: dict[tuple[str, tuple[str, ...]], TextRules] = {}
        self._controls = Controls(loaded)

    def begin(self, request: GenerateRequest) -> GrowingRow:
        """A row without tokens."""
        kind = (request.backend, request.stop)
        if kind not in self._rules:
            self._rules[kind] = TextRules(self._tokenizer, request)
        return GrowingRow(
            request,
            self._controls.limit(request),
            self.window - len(request.context),
            RowText(self._rules[kind], request.context),
            generator_for(request),
            self._controls.of(request),
        )

    def add(self, row: GrowingRow, token: int) -> None:
        """Give the row its next token, or NO_TOKEN; `row.answer` is there if it was the last."""
        if token == NO_TOKEN:
            row.answer = Failure(NOT_FINITE.format(len(row.ids) + 1))
            return
        row.ids.append(token)
        row.answer = self._answer_if_done(row)

    def _answer_if_done(self, row: GrowingRow) -> Generated | None:
        ids, finish = row.ids, self._limit_reached(row)
        if finish is None and not row.text.is_completed(ids):
            return None
        # lm-eval decodes the end token, too, which is text where the tokenizer does not call it special.
        hidden_end = finish == "eos" and not row.text.rules.as_lm_eval
        text, stopped = row.text.until_stop(ids[:-1] if hidden_end else ids)
        if stopped and finish != "eos":
            finish = "stop"
        return Generated(text, len(ids), finish) if finish else None

    def _limit_reached(self, row: GrowingRow) -> Finish | None:
        if row.ids[-1] in self._end_ids:
            return "eos"
        if len(row.ids) >= row.limit:
            return "length"
        return "window" if len(row.ids) >= row.room else None


def tokens_of_rows(logits: torch.Tensor, rows: Sequence[GrowingRow]) -> torch.Tensor:
    """The next token of each row, (rows,) on the device of `logits` (rows, vocabulary); as
    `chosen_tokens`."""
    controlled = [(at, row.control) for at, row in enumerate(rows) if row.control and row.answer is None]
    if controlled:
        logits = logits.float() if logits.dtype != torch.float32 else logits.clone()
        for at, control in controlled:
            logits[at] = control(rows[at].ids, logits[at])
    return chosen_tokens(logits, [row.request for row in rows], [row.generator for row in rows])
