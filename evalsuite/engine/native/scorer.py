"""Scoring by the native engine: on packed trees, or in padded batches for models that cannot use them."""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from evalsuite.engine.native.limits import Limits
from evalsuite.engine.native.trials.forms import BATCHES, NOTHING, PACKED
from evalsuite.engine.native.tried import TriedModel
from evalsuite.engine.placement import Budget
from evalsuite.engine.planning.batches import (
    ScoreRow,
    Together,
    any_lengths,
    no_rows,
    padded_tokens,
    plan_padded_batches,
    unanswered,
    within,
)
from evalsuite.engine.planning.plan_cache import PlanCache
from evalsuite.engine.protocol import Answered, Begun, EngineEvent, Planned
from evalsuite.errors import ModelError
from evalsuite.types import Failure, Score, ScoreRequest

if TYPE_CHECKING:
    from evalsuite.engine.planning.plan import PackRange, ScorePlan

LARGEST_VOCABULARY = 2**18
"""The vocabulary size assumed if a configuration states none."""

AHEAD = {"cuda": 1}
"""Passes that are launched ahead, by kind of device: a CPU computes a pass before the call returns."""

ScoreEvents = Iterator[EngineEvent[ScoreRequest]]


class LikelihoodScorer:
    """Plans scores and computes them; see `protocol.Engine.score`.

    Args:
        tried: the model, and the forms of computation that passed its trials.
        limits: the size limits of a forward pass.
    """

    def __init__(self, tried: TriedModel, limits: Limits) -> None:
        self._tried = tried
        self._model = tried.model
        self._limits = limits
        self.plans = PlanCache()
        """The plans of this engine, or of several that answer one after the other."""

    @property
    def why_batches(self) -> str:
        """Why scoring does not use packed trees, as far as known without loading; empty if it does."""
        return self._tried.expected_forms.why_not_packed

    def score(self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest]) -> ScoreEvents:
        """Score the distinct `requests`; errors are as in `TransformersEngine.score`."""
        if self.why_batches:
            yield from self._score_in_batches(requests, answered)
            return
        from evalsuite.engine.planning.plan import without

        plan = self.plan_packs(requests)
        runs, planned = without(plan, answered)
        yield Planned(planned)
        if not runs:
            return
        self._limits.refuse_longer_than_window(plan.inputs.lengths[[*chain(*runs)]].tolist())
        self._tried.load()
        yield Begun()
        if self.why_batches:
            yield from self._score_in_batches(requests, answered)
        else:
            yield from self._score_packs(plan, runs)

    def partition(self, scores: Sequence[ScoreRequest]) -> list[tuple[ScoreRequest, ...]]:
        """Requests grouped by pack or batch; see `protocol.Engine.partition`."""
        if self._tried.why_not_packed:  # not `why_batches`: parts are the same before and after the trials
            return [
                tuple(request for row in batch for request in row.requests)
                for batch in self._ample_batches(scores)
            ]
        plan = self.plans.plan(scores, self._limits.most_tokens)
        return [tuple(request for index in run for request in plan.requests[index]) for run in plan.runs]

    def plan_packs(self, requests: Sequence[ScoreRequest]) -> "ScorePlan":
        """The plan of packed trees; a part of `partition` is one pack, or several if memory is short."""
        return self.plans.plan(requests, self._limits.pack_tokens, self._limits.most_tokens)

    def plan_batches(self, requests: Sequence[ScoreRequest]) -> list[tuple[ScoreRow, ...]]:
        """Padded batches, for models that cannot use packed trees; where memory is short, cut once more."""
        parts: list[Sequence[ScoreRequest]] = [requests]
        if not self._tried.why_not_packed:
            parts = [*self.partition(requests)]
        ample = [batch for part in parts for batch in self._ample_batches(part)]
        budget = self._limits.sizes.batches
        if budget == self._limits.budget:
            return ample
        parts = [[request for row in batch for request in row.requests] for batch in ample]
        return [batch for part in parts for batch in self._planned(part, budget)]

    def _ample_batches(self, requests: Sequence[ScoreRequest]) -> list[tuple[ScoreRow, ...]]:
        """Padded batches where memory is ample."""
        return self._planned(requests, self._limits.budget)

    def _planned(self, requests: Sequence[ScoreRequest], budget: Budget) -> list[tuple[ScoreRow, ...]]:
        vocabulary = self._model.config.get("vocab_size", LARGEST_VOCABULARY)
        return plan_padded_batches(requests, budget, vocabulary, self._sharing)

    @property
    def _sharing(self) -> Together:
        """Which rows may share a batch."""
        alone = self._tried.expected_forms.scores not in (PACKED, BATCHES)
        return within(self._model.lengths, no_rows if alone else any_lengths)

    def _score_packs(self, plan: "ScorePlan", runs: Sequence["PackRange"]) -> ScoreEvents:
        from evalsuite.engine.native.memory import run_within_memory
        from evalsuite.engine.native.score_packed import begin_run

        model = self._tried.fit.scoring

        def run(inputs: "PackRange") -> ScoreEvents:
            return _answered(begin_run(model, plan, inputs), plan.inputs.tokens_of(inputs))

        def give_up(index: int, reason: str) -> EngineEvent[ScoreRequest]:
            return Answered(tuple((request, Failure(reason)) for request in plan.requests[index]), 0)

        retry, ahead = self._model.processes.retries, self._ahead
        yield from run_within_memory(runs, run, plan.inputs.tokens_of, give_up, retry=retry, ahead=ahead)

    def _score_in_batches(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest]
    ) -> ScoreEvents:
        rows = unanswered(self.plan_batches(requests), answered, lambda row: row.requests)
        yield Planned(sum(len(row.ids) for batch in rows for row in batch))
        if not rows:
            return
        self._limits.refuse_longer_than_window(len(row.ids) for batch in rows for row in batch)
        self._tried.load()
        yield Begun()
        # Plan again: the trials that `load` ran may have changed which rows can share a batch.
        batches = unanswered(self.plan_batches(requests), answered, lambda row: row.requests)
        model, forms, scoring = self._model, self._tried.fit.forms, self._tried.fit.scoring
        if forms.scores == NOTHING:
            raise ModelError(
                f"Model '{model.files.name}' ({type(model.loaded.model).__name__}) cannot be scored: "
                f"one row by itself does not give what a plain forward pass gives ({forms.score_note})."
            )
        model.add_note(forms.score_note)
        from evalsuite.engine.native.memory import run_within_memory
        from evalsuite.engine.native.score_batch import begin_batch

        def run(batch: tuple[ScoreRow, ...]) -> ScoreEvents:
            return _answered(begin_batch(scoring, batch), sum(len(row.ids) for row in batch))

        def give_up(row: ScoreRow, reason: str) -> EngineEvent[ScoreRequest]:
            return Answered(tuple((request, Failure(reason)) for request in row.requests), 0)

        retry, ahead = model.processes.retries, self._ahead
        yield from run_within_memory(batches, run, padded_tokens, give_up, retry=retry, ahead=ahead)

    @property
    def _ahead(self) -> int:
        """Forward passes that are launched before the answers of an earlier one are read."""
        return AHEAD.get(self._model.device.partition(":")[0], 0)


def _answered(answers: Callable[[], list[tuple[ScoreRequest, Score]]], tokens: int) -> ScoreEvents:
    """The event of a launched pass, once its answers are there."""
    yield Answered(tuple(answers()), tokens)
