"""Log-likelihoods of a batch of rows in one forward."""

from collections.abc import Sequence
from itertools import pairwise

import torch

from evalsuite.engine.batches import ScoreRow
from evalsuite.engine.forward import run_at
from evalsuite.engine.loading import LoadedModel
from evalsuite.types import Score, ScoreRequest

POSITIONS_PER_CHUNK = 256
"""Positions whose vocabulary is normalised at a time: log-probabilities take as much room as logits."""

PADDING_ID = 0
"""Stands to the right of every real token, where a causal model does not look."""


@torch.inference_mode()
def score_batch(loaded: LoadedModel, batch: Sequence[ScoreRow]) -> list[tuple[ScoreRequest, Score]]:
    """Answers to all requests of the rows, which are right-padded and run without attention mask."""
    ids = _right_padded(batch).to(loaded.device)
    positions = torch.arange(ids.shape[1], device=loaded.device).expand_as(ids)
    rows, columns = _scored_positions(batch)
    logits, _ = run_at(
        loaded,
        ids,
        rows.to(loaded.device),
        columns.to(loaded.device),
        position_ids=positions,
        use_cache=False,
    )
    requests = [request for row in batch for request in row.requests]
    log_probs, is_best = _target_log_probs(logits, *_targets(batch))
    ends = [0]
    for request in requests:
        ends.append(ends[-1] + len(request.continuation))
    return [
        (request, Score(tuple(log_probs[start:end]), all(is_best[start:end])))
        for request, (start, end) in zip(requests, pairwise(ends), strict=True)
    ]


def _right_padded(batch: Sequence[ScoreRow]) -> torch.Tensor:
    longest = max(len(row.ids) for row in batch)
    return torch.tensor([row.ids + (PADDING_ID,) * (longest - len(row.ids)) for row in batch])


def _scored_positions(batch: Sequence[ScoreRow]) -> tuple[torch.Tensor, torch.Tensor]:
    """(row, column) of every position that some request of the batch reads, row by row."""
    rows = [index for index, row in enumerate(batch) for _ in range(row.scored)]
    columns = [column for row in batch for column in range(len(row.ids) - row.scored, len(row.ids))]
    return torch.tensor(rows), torch.tensor(columns)


def _targets(batch: Sequence[ScoreRow]) -> tuple[torch.Tensor, torch.Tensor]:
    """For each continuation token of each request: its index among the scored positions, and its id.

    Requests of one row may split it at different places; their continuations end together.
    """
    indices: list[int] = []
    tokens: list[int] = []
    end = 0
    for row in batch:
        end += row.scored
        for request in row.requests:
            indices.extend(range(end - len(request.continuation), end))
            tokens.extend(request.continuation)
    return torch.tensor(indices), torch.tensor(tokens)


def _target_log_probs(
    logits: torch.Tensor, indices: torch.Tensor, tokens: torch.Tensor
) -> tuple[list[float], list[bool]]:
    """float32 log-softmax of `logits[indices]` at `tokens`, and whether each is the best (a tie is).

    torch's own log-softmax and not a more exact one: on a CPU its sum over a large vocabulary is
    off by 1e-5, and so is every score that a reference implementation made with it.
    """
    log_probs = torch.empty(len(indices), device=logits.device)
    is_best = torch.empty(len(indices), device=logits.device)
    for start in range(0, len(logits), POSITIONS_PER_CHUNK):
        chunk = logits[start : start + POSITIONS_PER_CHUNK].float()
        within = ((indices >= start) & (indices < start + len(chunk))).nonzero()[:, 0]
        position, token = (indices[within] - start).to(logits.device), tokens[within].to(logits.device)
        log_probs[within] = chunk.log_softmax(dim=-1)[position, token]
        is_best[within] = (chunk[position, token] >= chunk.amax(dim=-1)[position]).float()
    # One transfer: on a GPU each costs a wait for everything before it.
    values = torch.stack([log_probs, is_best]).tolist()
    return values[0], [flag > 0 for flag in values[1]]
