"""Shards of a run: processes that know nothing of each other, each answering its share of the requests.

Every shard plans the whole run and takes its parts of the plan, so that the answers of all shards together
are those of one run, to the last digit; `merging` unites them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.engine.planning.partition import tokens_of
from evalsuite.engine.protocol import Engine
from evalsuite.errors import UserError
from evalsuite.types import GenerateRequest, Request, ScoreRequest


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several shares of a run."""

    index: int
    """From 0."""
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """`i/n` with 0 <= i < n; raises UserError for anything else."""
        matched = re.fullmatch(r"(\d+)/(\d+)", text.strip(), re.ASCII)
        if matched is None:
            raise UserError(f"--shard takes i/n, for example 0/3, not '{text}'.")
        shard = cls(*map(int, matched.groups()))
        if shard.count == 0:
            raise UserError(f"--shard {text}: a run has at least one shard.")
        if shard.index >= shard.count:
            last = f"0/{shard.count} to {shard.count - 1}/{shard.count}" if shard.count > 1 else "0/1"
            raise UserError(f"--shard {text}: shards are counted from 0; use {last}.")
        return shard


def share_of(
    shard: Shard, engine: Engine, scores: Sequence[ScoreRequest], texts: Sequence[GenerateRequest]
) -> frozenset[Request]:
    """The requests that a shard answers: whole parts of the plan, each kind balanced by its tokens."""
    of_scores, of_texts = engine.partition(scores), engine.partition(texts)
    scored = dealt([tokens_of(part) for part in of_scores], shard.count)[shard.index]
    # Tokens of two kinds of work do not compare, but who has most of one takes least of the other.
    written = dealt([tokens_of(part) for part in of_texts], shard.count)[-1 - shard.index]
    return frozenset(
        (
            *(one for place in scored for one in of_scores[place]),
            *(one for place in written for one in of_texts[place]),
        )
    )


def dealt(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Places of `sizes` in `count` heaps, the largest first, each to the smallest heap; the largest heap
    first."""
    heaps: list[list[int]] = [[] for _ in range(count)]
    loads = [0] * count
    for place in sorted(range(len(sizes)), key=lambda one: (-sizes[one], one)):
        least = min(range(count), key=lambda one: (loads[one], one))
        heaps[least].append(place)
        loads[least] += sizes[place]
    return [heaps[one] for one in sorted(range(count), key=lambda one: (-loads[one], one))]
