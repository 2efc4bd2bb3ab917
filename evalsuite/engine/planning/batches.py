"""Plans padded batches of requests, without torch.

A plan is a function of the whole set of requests and of the budget, with ties broken by token
ids, so that a resumed run computes in the same batches as an uninterrupted one.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from evalsuite.engine.placement import Budget
from evalsuite.engine.planning.rope import LengthRule
from evalsuite.types import GenerateRequest, ScoreRequest, TokenIds

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One model input, and every request whose logits it gives.

    All of its requests have the same `context + continuation` except for the last token, wherever they split
    it: the choices of a multiple-choice question with letters, but also continuations of unequal length.
    """

    ids: TokenIds
    """The model input: `context + continuation` without the last token."""
    requests: tuple[ScoreRequest, ...]

    @property
    def scored(self) -> int:
        """How many last positions need logits: the length of the longest continuation."""
        return max(len(request.continuation) for request in self.requests)


def score_rows(requests: Iterable[ScoreRequest]) -> list[ScoreRow]:
    """One row for each distinct model input, longest first."""
    sharing: dict[TokenIds, list[ScoreRequest]] = {}
    for request in requests:
        sharing.setdefault((request.context + request.continuation)[:-1], []).append(request)
    rows = [
        ScoreRow(
            ids, tuple(sorted(together, key=lambda request: (len(request.context), request.continuation)))
        )
        for ids, together in sharing.items()
    ]
    return sorted(rows, key=lambda row: (-len(row.ids), row.ids))


Together = Callable[[int, int], bool]
"""Whether rows of two lengths, the longer first, may be padded into one batch."""


def any_lengths(longer: int, shorter: int) -> bool:
    """All rows may share a batch."""
    return True


def equal_lengths(longer: int, shorter: int) -> bool:
    """Nothing is padded."""
    return longer == shorter


def no_rows(longer: int, shorter: int) -> bool:
    """Each row is computed alone."""
    return False


def within(rule: LengthRule | None, together: Together) -> Together:
    """`together`, restricted to lengths that `rule` rotates alike."""
    if rule is None:
        return together
    return lambda longer, shorter: rule.group(longer) == rule.group(shorter) and together(longer, shorter)


def plan_padded_batches(
    requests: Iterable[ScoreRequest],
    budget: Budget,
    vocabulary: int,
    together: Together = any_lengths,
    *,
    all_logits: bool = False,
) -> list[tuple[ScoreRow, ...]]:
    """Batches of rows, longest first; every request is in exactly one row of one batch.

    With `all_logits` the model gives the logits of every position, which count for the budget.
    """

    def fits(batch: Sequence[ScoreRow]) -> bool:
        positions = padded_tokens(batch) if all_logits else sum(row.scored for row in batch)
        logits = positions * vocabulary
        alike = together(len(batch[0].ids), len(batch[-1].ids))
        return alike and padded_tokens(batch) <= budget.tokens and logits <= budget.logits

    return _pack(score_rows(requests), fits)


def padded_tokens(batch: Sequence[ScoreRow]) -> int:
    """Positions that the model computes for a right-padded batch."""
    return len(batch) * max(len(row.ids) for row in batch)


def plan_generation(
    requests: Iterable[GenerateRequest], budget: Budget, together: Together = any_lengths
) -> list[tuple[GenerateRequest, ...]]:
    """Batches of requests, longest prompt first."""
    ordered = sorted(
        requests,
        key=lambda request: (
            -len(request.context),
            request.context,
            request.max_tokens,
            request.stop,
            request.temperature,
            request.top_p,
            request.seed,
            request.sample,
        ),
    )

    def fits(batch: Sequence[GenerateRequest]) -> bool:
        alike = together(len(batch[0].context), len(batch[-1].context))
        return alike and len(batch) <= budget.rows and cached_tokens(batch) <= budget.cached_tokens

    return _pack(ordered, fits)


def cached_tokens(batch: Sequence[GenerateRequest]) -> int:
    """Positions of the KV cache when the batch's longest answer has its full length."""
    longest_context = max(len(request.context) for request in batch)
    return len(batch) * (longest_context + max(request.max_tokens for request in batch))


def _pack(rows: Iterable[RowT], fits: Callable[[Sequence[RowT]], bool]) -> list[tuple[RowT, ...]]:
    """Fill batches in the given order, each until the next row does not fit."""
    batches: list[tuple[RowT, ...]] = []
    current: list[RowT] = []
    for row in rows:
        if current and not fits([*current, row]):
            batches.append(tuple(current))
            current = []
        current.append(row)
    return [*batches, tuple(current)] if current else batches


def unanswered(
    batches: Iterable[tuple[RowT, ...]],
    answered: Collection[Hashable],
    requests_of: Callable[[RowT], Iterable[Hashable]],
) -> list[tuple[RowT, ...]]:
    """Batches with unanswered requests, each kept whole so that its numbers stay the same."""
    return [
        batch
        for batch in batches
        if any(request not in answered for row in batch for request in requests_of(row))
    ]
