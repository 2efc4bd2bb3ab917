"""Shards of a run: independent processes that each answer a share of the requests.

Every shard plans the whole run and takes its parts of the plan, so that all shards together give the same
answers as an unsharded run, bit for bit; `merge` combines them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.engine.planning.partition import dealt, tokens_of
from evalsuite.engine.protocol import Engine
from evalsuite.errors import UserError
from evalsuite.types import GenerateRequest, Request, ScoreRequest


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` shares of a run."""

    index: int
    """Index of the shard, from 0."""
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Parse `i/n` with 0 <= i < n; raises UserError for anything else."""
        matched = re.fullmatch(r"(\d+)/(\d+)", text.strip(), re.ASCII)
        if matched is None:
            raise UserError(f"--shard must be i/n, for example 0/3, got '{text}'.")
        shard = cls(*map(int, matched.groups()))
        if shard.count == 0:
            raise UserError(f"--shard {text}: the number of shards must be at least 1.")
        if shard.index >= shard.count:
            last = f"0/{shard.count} to {shard.count - 1}/{shard.count}" if shard.count > 1 else "0/1"
            raise UserError(f"--shard {text}: shards are numbered from 0; use {last}.")
        return shard


def share_of(
    shard: Shard, engine: Engine, scores: Sequence[ScoreRequest], texts: Sequence[GenerateRequest]
) -> frozenset[Request]:
    """The requests that a shard answers: whole parts of the plan, balanced by tokens for each kind."""
    of_scores, of_texts = engine.partition(scores), engine.partition(texts)
    scored = dealt([tokens_of(part) for part in of_scores], shard.count)[shard.index]
    # The costs of a scored and a generated token differ; the shard with most of one kind gets least of the
    # other.
    generated = dealt([tokens_of(part) for part in of_texts], shard.count)[-1 - shard.index]
    return frozenset(
        (
            *(request for part in scored for request in of_scores[part]),
            *(request for part in generated for request in of_texts[part]),
        )
    )
