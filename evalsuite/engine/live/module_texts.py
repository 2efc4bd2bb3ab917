"""Texts that grow by a forward pass over all of their tokens for each new one."""

from collections.abc import Sequence

import torch

from evalsuite.engine.live.logits_module import LogitsModule
from evalsuite.engine.native.row import GrowingRow, GrowingRows, tokens_of_rows
from evalsuite.engine.native.score_batch import PADDING_ID
from evalsuite.engine.placement import Budget
from evalsuite.engine.planning.batches import any_lengths, no_rows, plan_generation
from evalsuite.engine.protocol import Answered, EngineEvent
from evalsuite.types import GenerateRequest


def plan_texts(
    requests: Sequence[GenerateRequest], budget: Budget, *, pads: bool
) -> list[tuple[GenerateRequest, ...]]:
    """Batches of requests, whose rows grow together if they may be padded."""
    return plan_generation(requests, budget, any_lengths if pads else no_rows)


class GrowingBatch:
    """The texts that grow together, padded behind their ends.

    Args:
        model: the module.
        rows: begins rows and decides when they end.
    """

    def __init__(self, model: LogitsModule, rows: GrowingRows) -> None:
        self._model = model
        self._rows = rows
        self._growing: list[GrowingRow] = []

    @property
    def requests(self) -> tuple[GenerateRequest, ...]:
        """The requests whose texts have not ended."""
        return tuple(row.request for row in self._growing)

    def forget(self) -> None:
        """Drop the texts so far."""
        self._growing = []

    def grow(self, requests: Sequence[GenerateRequest]) -> list[EngineEvent[GenerateRequest]]:
        """Add a token to each text; if none grows, `requests` begin. Returns the complete answers."""
        if not self._growing:
            self._growing = [self._rows.begin(request) for request in requests]
        tokens = tokens_of_rows(self._last_logits(), self._growing).tolist()
        for row, token in zip(self._growing, tokens, strict=True):
            self._rows.add(row, token)
        done = [(row.request, row.answer) for row in self._growing if row.answer is not None]
        counts = [len(row.request.context) + len(row.ids) for row in self._growing if row.answer is not None]
        self._growing = [row for row in self._growing if row.answer is None]
        return [Answered(tuple(done), sum(counts))] if done else []

    def _last_logits(self) -> torch.Tensor:
        """Logits of each text's next token: (rows, vocabulary)."""
        texts = [[*row.request.context, *row.ids] for row in self._growing]
        longest = max(map(len, texts))
        ids = torch.tensor([[*text, *[PADDING_ID] * (longest - len(text))] for text in texts])
        logits: torch.Tensor = self._model(ids).logits  # (rows, longest, vocabulary)
        ends = torch.tensor([len(text) - 1 for text in texts], device=logits.device)
        return logits[torch.arange(len(texts), device=logits.device), ends]
