"""Log-likelihoods of a batch of rows in one forward."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch

from evalsuite.engine.native import kernels
from evalsuite.engine.native.forward import run_at
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.memory_estimate import POSITIONS_PER_CHUNK
from evalsuite.engine.planning.batches import ScoreRow
from evalsuite.types import Score, ScoreRequest, TokenIds

PADDING_ID = 0
"""Stands to the right of every real token, where a causal model does not look."""


@torch.inference_mode()
def score_batch(loaded: LoadedModel, batch: Sequence[ScoreRow]) -> list[tuple[ScoreRequest, Score]]:
    """Answers to all requests of the rows, which are right-padded and run without attention mask."""
    logits = batch_logits(loaded, [row.ids for row in batch], *_scored_positions(batch))
    requests = [request for row in batch for request in row.requests]
    log_probs, is_best = _target_log_probs(logits, *_targets(batch), rounded=loaded.rounded_logits)
    return scores_of(requests, log_probs, is_best, logits.dtype if loaded.rounded_logits else None)


def batch_logits(
    loaded: LoadedModel, sequences: Sequence[TokenIds], rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """(n, vocabulary) logits at (rows[i], columns[i]) of right-padded sequences.

    Positions are the model's own: it counts from the left, and some families not from 0 (RoBERTa's).
    """
    ids = _right_padded(sequences).to(loaded.device)
    return run_at(loaded, ids, rows.to(loaded.device), columns.to(loaded.device), use_cache=False)[0]


def scores_of(
    requests: Sequence[ScoreRequest],
    log_probs: Sequence[float],
    is_best: Sequence[float],
    rounded_to: torch.dtype | None,
) -> list[tuple[ScoreRequest, Score]]:
    """Each request with its part of what was read.

    Args:
        requests: whose continuations' tokens follow each other in `log_probs` and `is_best`.
        log_probs: of each of these tokens.
        is_best: 1 for a most probable token, else 0.
        rounded_to: data type in which log-probabilities are added up, as lm-eval 0.4.13's HFLM does in that
            of the logits; None for no rounding.
    """
    ends = accumulate((len(request.continuation) for request in requests), initial=0)
    return [
        (request, _score(tuple(log_probs[start:end]), all(is_best[start:end]), rounded_to))
        for request, (start, end) in zip(requests, pairwise(ends), strict=True)
    ]


def _score(log_probs: tuple[float, ...], is_greedy: bool, rounded_to: torch.dtype | None) -> Score:
    if rounded_to is None:
        return Score(log_probs, is_greedy)
    return Score(log_probs, is_greedy, torch.tensor(log_probs, dtype=rounded_to).sum().item())


def _right_padded(sequences: Sequence[TokenIds]) -> torch.Tensor:
    longest = max(map(len, sequences))
    return torch.tensor([(*ids, *[PADDING_ID] * (longest - len(ids))) for ids in sequences])


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
    logits: torch.Tensor, indices: torch.Tensor, tokens: torch.Tensor, *, rounded: bool
) -> tuple[list[float], list[float]]:
    """`read_targets` over all logits, in chunks."""
    log_probs = torch.empty(len(indices), device=logits.device)
    is_best = torch.empty(len(indices), device=logits.device)
    for start in range(0, len(logits), POSITIONS_PER_CHUNK):
        chunk = logits[start : start + POSITIONS_PER_CHUNK]
        within = ((indices >= start) & (indices < start + len(chunk))).nonzero()[:, 0]
        log_probs[within], is_best[within] = read_targets(
            chunk, indices[within] - start, tokens[within], rounded=rounded
        )
    # One transfer: on a GPU each costs a wait for everything before it.
    values = torch.stack([log_probs, is_best]).tolist()
    return values[0], values[1]


def read_targets(
    logits: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor, *, rounded: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of `tokens` in `rows` of `logits`, and 1 where the token is the best (a tie is), else
    0.

    float32 log-softmax by torch and not a more exact one: on a CPU its sum over a large vocabulary is off by
    1e-5, and so is every score that a reference implementation made with it. On a GPU a kernel of our own,
    which writes no second matrix of this size.

    Args:
        logits: (n, vocabulary).
        rows: (targets,) indices into the n.
        tokens: (targets,) ids.
        rounded: compute as lm-eval 0.4.13's HFLM does by default, which is in the data type of the logits,
            where only the first of equally good tokens is the best.
    """
    row, token = rows.to(logits.device), tokens.to(logits.device)
    if rounded:
        log_probs = logits.log_softmax(dim=-1)
        return log_probs[row, token].float(), (log_probs.argmax(dim=-1)[row] == token).float()
    if not kernels.unsupported_reason(str(logits.device)):
        from evalsuite.engine.native.kernels.log_sums import read_tokens

        return read_tokens(logits, row, token)
    logits = logits.float()
    return logits.log_softmax(dim=-1)[row, token], (logits[row, token] >= logits.amax(dim=-1)[row]).float()
