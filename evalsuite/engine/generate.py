"""Text generation in batches, for models that slots do not fit: prefill, then one token per step and row.

Every row stops by itself and is answered at once; when half of the rows are done, the others
move on in a cache of their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evalsuite.engine.forward import run_at
from evalsuite.engine.generate_row import Row, Rows, tokens_of_rows
from evalsuite.engine.loading import LoadedModel
from evalsuite.engine.sampling import fed
from evalsuite.engine.texts import Decoder
from evalsuite.errors import ModelError
from evalsuite.types import Failure, Generated, GenerateRequest


@torch.inference_mode()
def generate_batch(
    loaded: LoadedModel, tokenizer: Decoder, max_length: int | None, batch: Sequence[GenerateRequest]
) -> Iterator[list[tuple[GenerateRequest, Generated | Failure]]]:
    """Yield answers as rows finish."""
    growing = Rows(loaded, tokenizer, max_length)
    rows = [growing.begin(request) for request in batch]
    state = _prefill(loaded, [one.context for one in batch])
    while rows:
        live = [row for row in rows if row.answer is None]
        chosen = tokens_of_rows(state.logits, rows).tolist()
        for row, token in zip(rows, chosen, strict=True):
            if row.answer is None:
                growing.add(row, token)
        if done := [(row.request, row.answer) for row in live if row.answer is not None]:
            yield done
        rows, chosen, state = _leave_out_finished(rows, chosen, state)
        if rows:
            _decode(loaded, state, chosen, growing.window)


@dataclass(slots=True)
class _Decoding:
    """The batch between two steps."""

    cache: Any
    """transformers' cache, of whatever kind the model makes."""
    logits: torch.Tensor
    """(rows, vocabulary) for the next token."""
    mask: torch.Tensor | None
    """(rows, length) int64, 0 at padding; None if all prompts are equally long."""
    positions: torch.Tensor
    """(rows, 1) position of the newest token in its own row."""


def _prefill(loaded: LoadedModel, prompts: Sequence[Sequence[int]]) -> _Decoding:
    """Run the prompts, left-padded so that all of them end together."""
    longest = max(len(prompt) for prompt in prompts)
    padding = [longest - len(prompt) for prompt in prompts]
    ids = torch.tensor([[0] * pad + list(prompt) for pad, prompt in zip(padding, prompts, strict=True)])
    ids, pads = ids.to(loaded.device), torch.tensor(padding, device=loaded.device)[:, None]
    columns = torch.arange(longest, device=loaded.device)
    mask = (columns >= pads).long() if any(padding) else None
    positions = (columns - pads).clamp(min=0)
    rows = torch.arange(len(prompts), device=loaded.device)
    options = {"attention_mask": mask, "position_ids": positions, "use_cache": True}
    logits, cache = run_at(loaded, ids, rows, torch.full_like(rows, longest - 1), **options)
    if cache is None:
        raise ModelError(f"{type(loaded.model).__name__} returns no cache, so it cannot generate here.")
    return _Decoding(cache, logits, mask, positions[:, -1:])


def _decode(loaded: LoadedModel, state: _Decoding, tokens: Sequence[int], window: int) -> None:
    """Run one new token per row."""
    # A finished row that has not left yet may stand at the end of the window already.
    state.positions = (state.positions + 1).clamp(max=window - 1)
    if state.mask is not None:
        state.mask = torch.nn.functional.pad(state.mask, (0, 1), value=1)
    rows = torch.arange(len(tokens), device=loaded.device)
    options = {
        # Mamba-1 takes the mask's first columns for the new token (transformers 5.23).
        "attention_mask": None if loaded.is_recurrent else state.mask,
        "position_ids": state.positions,
        "use_cache": True,
        loaded.cache_name: state.cache,
    }
    ids = fed(torch.tensor(tokens, device=loaded.device))[:, None]
    state.logits, state.cache = run_at(loaded, ids, rows, torch.zeros_like(rows), **options)


def _leave_out_finished(
    rows: list[Row], chosen: list[int], state: _Decoding
) -> tuple[list[Row], list[int], _Decoding]:
    """Rows still at work, once at most half of them are; copying the cache for each one would cost more."""
    live = [index for index, row in enumerate(rows) if row.answer is None]
    if len(live) * 2 > len(rows):
        return rows, chosen, state
    if live:
        kept = torch.tensor(live, device=state.logits.device)
        # Not `batch_select_indices`, which recurrent layers lack (transformers 5.17 to 5.23).
        state.cache.reorder_cache(kept)
        state.positions = state.positions[kept]
        state.mask = None if state.mask is None else state.mask[kept]
    return [rows[index] for index in live], [chosen[index] for index in live], state
