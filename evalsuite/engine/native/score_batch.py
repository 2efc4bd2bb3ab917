"""Log-likelihoods of a batch of rows in one forward pass."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import torch

from evalsuite.engine.native.forward import run_at
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.memory_estimate import POSITIONS_PER_CHUNK
from evalsuite.engine.native.transfer import begin_to_host
from evalsuite.engine.planning.batches import ScoreRow
from evalsuite.types import Score, ScoreRequest, TokenIds

PADDING_ID = 0
"""Padding to the right of every real token, which a causal model ignores."""


def score_batch(loaded: LoadedModel, batch: Sequence[ScoreRow]) -> list[tuple[ScoreRequest, Score]]:
    """Answers to all requests of the rows, which are right-padded and run without an attention mask."""
    return begin_batch(loaded, batch)()


@torch.inference_mode()
def begin_batch(
    loaded: LoadedModel, batch: Sequence[ScoreRow]
) -> Callable[[], list[tuple[ScoreRequest, Score]]]:
    """Launch a batch's forward pass; the returned function waits for its answers.

    transformers 5.23 waits for the device before the first layer (`find_packed_sequence_indices`).
    """
    logits = batch_logits(loaded, [row.ids for row in batch], *_scored_positions(batch))
    requests = [request for row in batch for request in row.requests]
    arrived = begin_to_host(_target_log_probs(loaded, logits, *_targets(batch)))
    return awaited_scores(requests, arrived, logits.dtype if loaded.rounded_logits else None)


def batch_logits(
    loaded: LoadedModel, sequences: Sequence[TokenIds], rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """(n, vocabulary) logits at (rows[i], columns[i]) of right-padded sequences.

    The model assigns positions by itself: from left to right, and in some families not from 0 (RoBERTa).
    """
    ids = _right_padded(sequences).to(loaded.device)
    return run_at(loaded, ids, rows.to(loaded.device), columns.to(loaded.device), use_cache=False)[0]


def awaited_scores(
    requests: Sequence[ScoreRequest], arrived: Callable[[], torch.Tensor], rounded_to: torch.dtype | None
) -> Callable[[], list[tuple[ScoreRequest, Score]]]:
    """A function that waits for the (2, targets) values of `read_targets`, and returns `scores_of` them."""

    def answers() -> list[tuple[ScoreRequest, Score]]:
        log_probs, is_best = arrived().tolist()
        return scores_of(requests, log_probs, is_best, rounded_to)

    return answers


def scores_of(
    requests: Sequence[ScoreRequest],
    log_probs: Sequence[float],
    is_best: Sequence[float],
    rounded_to: torch.dtype | None,
) -> list[tuple[ScoreRequest, Score]]:
    """Each request with its score.

    Args:
        requests: their continuations' tokens follow each other in `log_probs` and `is_best`.
        log_probs: (tokens,) log-probability of each token.
        is_best: (tokens,) 1 for a most probable token, else 0.
        rounded_to: data type in which log-probabilities are summed, as lm-eval 0.4.13's HFLM sums in the data
            type of the logits; None for no rounding.
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
    """Rows and columns, (n,) each, of all positions whose logits the batch's requests need, row by row."""
    rows = [index for index, row in enumerate(batch) for _ in range(row.scored)]
    columns = [column for row in batch for column in range(len(row.ids) - row.scored, len(row.ids))]
    return torch.tensor(rows), torch.tensor(columns)


def _targets(batch: Sequence[ScoreRow]) -> tuple[torch.Tensor, torch.Tensor]:
    """Index among the scored positions, and id, of each continuation token of each request: (targets,) each.

    Requests of one row may split it at different token positions; their continuations end together.
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
    loaded: LoadedModel, logits: torch.Tensor, indices: torch.Tensor, tokens: torch.Tensor
) -> torch.Tensor:
    """`read_targets` over all (n, vocabulary) logits, in chunks: (2, targets)."""
    log_probs = torch.empty(len(indices), device=logits.device)
    is_best = torch.empty(len(indices), device=logits.device)
    for start in range(0, len(logits), POSITIONS_PER_CHUNK):
        chunk = logits[start : start + POSITIONS_PER_CHUNK]
        within = ((indices >= start) & (indices < start + len(chunk))).nonzero()[:, 0]
        log_probs[within], is_best[within] = read_targets(
            chunk,
            indices[within] - start,
            tokens[within],
            rounded=loaded.rounded_logits,
            path=loaded.paths.log_probs,
        )
    return torch.stack([log_probs, is_best])


def read_targets(
    logits: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor, *, rounded: bool, path: str = "torch"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each target token, and 1 if it is a most probable token, else 0.

    Uses torch's float32 log-softmax and not a more exact one: on a CPU its sum over a large vocabulary is off
    by 1e-5, as is every score that a reference implementation computes with it. evalsuite's own kernel for
    GPUs writes no second matrix of this size.

    Args:
        logits: (n, vocabulary).
        rows: (targets,) indices of the rows of `logits` that predict the targets.
        tokens: (targets,) ids.
        rounded: compute as lm-eval 0.4.13's HFLM does by default: in the data type of the logits, and only
            the first of equally probable tokens counts as most probable.
        path: `Paths.log_probs`; without effect if `rounded`.

    Returns:
        (targets,) float32 each.
    """
    row, token = rows.to(logits.device), tokens.to(logits.device)
    if rounded:
        log_probs = logits.log_softmax(dim=-1)
        return log_probs[row, token].float(), (log_probs.argmax(dim=-1)[row] == token).float()
    if path == "kernels":
        from evalsuite.engine.native.kernels.log_sums import read_tokens

        return read_tokens(logits, row, token)
    logits = logits.float()
    return logits.log_softmax(dim=-1)[row, token], (logits[row, token] >= logits.amax(dim=-1)[row]).float()
