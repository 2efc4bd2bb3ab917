"""Text generation in batches, for models that cannot use slots: prefill, then one token per row and step.

Each row is answered as soon as it stops. When half of the rows are done, the cache is reduced to the others.
A row that cannot use its cache for the next token restarts, with its prompt and text so far as the prompt.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evalsuite.engine.native.forward import run_at
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.row import GrowingRow, GrowingRows, tokens_of_rows
from evalsuite.engine.native.sampling import fed
from evalsuite.engine.native.texts import Decoder
from evalsuite.types import Failure, Generated, GenerateRequest


@torch.inference_mode()
def generate_batch(
    loaded: LoadedModel, tokenizer: Decoder, max_length: int | None, batch: Sequence[GenerateRequest]
) -> Iterator[list[tuple[GenerateRequest, Generated | Failure]]]:
    """Yield answers as rows finish."""
    growing = GrowingRows(loaded, tokenizer, max_length)
    waiting = [[growing.begin(request) for request in batch]]
    while waiting:
        yield from _grow(loaded, growing, waiting.pop(), waiting)


def _grow(
    loaded: LoadedModel, growing: GrowingRows, rows: list[GrowingRow], waiting: list[list[GrowingRow]]
) -> Iterator[list[tuple[GenerateRequest, Generated | Failure]]]:
    """Yield answers of rows that start together; rows that must restart are added to `waiting`, by length."""
    state = prefill(loaded, [_ids(row) for row in rows])
    while rows:
        live = [row for row in rows if row.answer is None]
        chosen = tokens_of_rows(state.logits, rows).tolist()
        for row, token in zip(rows, chosen, strict=True):
            if row.answer is None:
                growing.add(row, token)
        if done := [(row.request, row.answer) for row in live if row.answer is not None]:
            yield done
        anew = [row for row in live if row.answer is None and _begins_anew(loaded, state, row)]
        waiting += _of_one_length(anew)
        rows, chosen, state = _leave_out_finished(loaded, growing.window, rows, chosen, state, anew)
        if rows:
            decode_step(loaded, state, chosen)


def _ids(row: GrowingRow) -> list[int]:
    """Token ids of the prompt and of the text so far."""
    return [*row.request.context, *row.ids]


def _begins_anew(loaded: LoadedModel, state: "Decoding", row: GrowingRow) -> bool:
    """Whether the row's next token needs a forward pass over all earlier tokens."""
    if state.cache is None:
        return True
    return loaded.lengths is not None and loaded.lengths.begins_anew(len(row.request.context) + len(row.ids))


def _of_one_length(rows: Sequence[GrowingRow]) -> list[list[GrowingRow]]:
    """The rows grouped by length, so that no group needs padding."""
    groups: dict[int, list[GrowingRow]] = {}
    for row in rows:
        groups.setdefault(len(row.request.context) + len(row.ids), []).append(row)
    return list(groups.values())


@dataclass(slots=True)
class Decoding:
    """The state of a batch between two decode steps."""

    cache: Any
    """transformers' cache, of the model's own kind; None if each token needs a pass over all earlier ones."""
    logits: torch.Tensor
    """(rows, vocabulary) logits of the next token."""
    mask: torch.Tensor | None
    """(rows, length) int64, 0 at padding; None if all prompts are equally long."""
    positions: torch.Tensor | None
    """(rows, 1) position of the newest token in its own row; None if the model counts positions by itself."""


def prefill(loaded: LoadedModel, prompts: Sequence[Sequence[int]]) -> Decoding:
    """Run the prompts, left-padded so that all of them end together.

    Position ids are passed, as transformers' `generate` does, unless the trials found that the model must
    count positions by itself.
    """
    longest = max(len(prompt) for prompt in prompts)
    padding = [longest - len(prompt) for prompt in prompts]
    ids = torch.tensor([[0] * pad + list(prompt) for pad, prompt in zip(padding, prompts, strict=True)])
    ids = ids.to(loaded.device)  # (rows, longest)
    pads = torch.tensor(padding, device=loaded.device)[:, None]  # (rows, 1)
    columns = torch.arange(longest, device=loaded.device)  # (longest,)
    mask = (columns >= pads).long() if any(padding) else None  # (rows, longest)
    positions = (columns - pads).clamp(min=0) if loaded.text_positions else None  # (rows, longest)
    rows = torch.arange(len(prompts), device=loaded.device)
    options = {"attention_mask": mask, "use_cache": loaded.text_cache}
    if positions is not None:
        options["position_ids"] = positions
    logits, cache = run_at(loaded, ids, rows, torch.full_like(rows, longest - 1), **options)
    cache = cache if loaded.text_cache else None
    return Decoding(cache, logits, mask, None if positions is None else positions[:, -1:])


def decode_step(loaded: LoadedModel, state: Decoding, tokens: Sequence[int]) -> None:
    """Run one new token per row; updates `state`."""
    if state.positions is not None:
        state.positions = state.positions + 1
    if state.mask is not None:
        state.mask = torch.nn.functional.pad(state.mask, (0, 1), value=1)
    rows = torch.arange(len(tokens), device=loaded.device)
    options = {
        # Mamba-1 would apply the mask's first columns to the new token (transformers 5.23).
        "attention_mask": None if loaded.is_recurrent else state.mask,
        "use_cache": True,
        loaded.cache_name: state.cache,
    }
    if state.positions is not None:
        options["position_ids"] = state.positions
    ids = fed(torch.tensor(tokens, device=loaded.device))[:, None]
    state.logits, state.cache = run_at(loaded, ids, rows, torch.zeros_like(rows), **options)


def _leave_out_finished(
    loaded: LoadedModel,
    window: int,
    rows: list[GrowingRow],
    chosen: list[int],
    state: Decoding,
    anew: Sequence[GrowingRow],
) -> tuple[list[GrowingRow], list[int], Decoding]:
    """Drop finished rows once at most half are active; copying the cache for each finished row costs more.

    Finished rows are dropped at once if the batch might pass the context window, or a length from which the
    rotary embedding of all rows changes.
    """
    gone = set(map(id, anew))
    if loaded.lengths or any(len(_ids(row)) >= window for row in rows):
        gone |= {id(row) for row in rows if row.answer is not None}
    live = [index for index, row in enumerate(rows) if row.answer is None and id(row) not in gone]
    if len(live) * 2 > len(rows) and not gone:
        return rows, chosen, state
    if live:
        keep_rows(state, live)
    return [rows[index] for index in live], [chosen[index] for index in live], state


def keep_rows(state: Decoding, rows: Iterable[int]) -> None:
    """Keep only the given rows of the batch."""
    kept = torch.tensor(list(rows), device=state.logits.device)
    # Not `batch_select_indices`, which recurrent layers lack (transformers 5.17 to 5.23).
    state.cache.reorder_cache(kept)
    state.positions = None if state.positions is None else state.positions[kept]
    state.mask = None if state.mask is None else state.mask[kept]
