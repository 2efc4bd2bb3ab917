"""A request while its text is generated: the tokens so far, and whether it is finished."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from evalsuite.engine.native.controls import Control, Controls
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.sampling import NO_TOKEN, chosen_tokens, generator_for
from evalsuite.engine.native.texts import Decoder, RowText, TextRules
from evalsuite.types import Failure, Finish, Generated, GenerateRequest

ENDLESS = 2**40
"""Context window, in tokens, of a model whose configuration states none."""

NOT_FINITE = (
    "the model gave NaN or infinity as logits for token {} of the text; its weights may have diverged, "
    "or its data type be too narrow (--dtype)"
)


@dataclass(slots=True)
class GrowingRow:
    """A request and its generated tokens so far."""

    request: GenerateRequest
    limit: int
    """Most tokens of the text."""
    room: int
    """Tokens from the end of the prompt to the end of the context window."""
    text: RowText
    generator: torch.Generator | None
    control: Control | None = None
    """Changes the logits before a token is chosen."""
    ids: list[int] = field(default_factory=list)
    """Token ids generated so far."""
    answer: Generated | Failure | None = None

    @property
    def left(self) -> int:
        """How many more tokens may be generated."""
        return min(self.limit, self.room) - len(self.ids)


class GrowingRows:
    """Creates rows and decides when they are finished; holds what all rows of a run share."""

    def __init__(self, loaded: LoadedModel, tokenizer: Decoder, max_length: int | None) -> None:
        self.window = max_length or ENDLESS
        self._tokenizer = tokenizer
        self._end_ids = loaded.eos_ids | ({tokenizer.eos_id} if tokenizer.eos_id is not None else set())
        self._rules: dict[tuple[str, tuple[str, ...]], TextRules] = {}
        self._controls = Controls(loaded)

    def begin(self, request: GenerateRequest) -> GrowingRow:
        """A new row without tokens."""
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
        """Append the next token, or NO_TOKEN, to the row; sets `row.answer` if it was the last."""
        if token == NO_TOKEN:
            row.answer = Failure(NOT_FINITE.format(len(row.ids) + 1))
            return
        row.ids.append(token)
        row.answer = self._answer_if_done(row)

    def _answer_if_done(self, row: GrowingRow) -> Generated | None:
        ids, finish = row.ids, self._limit_reached(row)
        if finish is None and not row.text.is_completed(ids):
            return None
        # lm-eval also decodes the end token, which gives text if the tokenizer does not mark it as special.
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
    """The next token of each row: (rows,) ids from (rows, vocabulary) logits, as in `chosen_tokens`."""
    controlled = [
        (index, row.control) for index, row in enumerate(rows) if row.control and row.answer is None
    ]
    if controlled:
        logits = logits.float() if logits.dtype != torch.float32 else logits.clone()
        for index, control in controlled:
            logits[index] = control(rows[index].ids, logits[index])
    return chosen_tokens(logits, [row.request for row in rows], [row.generator for row in rows])
