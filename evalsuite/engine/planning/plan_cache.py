"""Remembers the last plans for engines that are asked the same requests: a training's checkpoints."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from evalsuite.types import ScoreRequest

if TYPE_CHECKING:
    from evalsuite.engine.planning.plan import ScorePlan

KEPT_PLANS = 4
"""Plans of a run: the smoke test's and the tasks', and as many of a shard's partition."""


class PlanCache:
    """The last plans by request objects and budgets; a plan keeps its requests, and so their ids."""

    def __init__(self) -> None:
        self._plans: dict[tuple[object, ...], ScorePlan] = {}

    def plan(self, requests: Sequence[ScoreRequest], budget: int, most: int | None = None) -> "ScorePlan":
        """`plan_packs` of these arguments, or what it returned for the same request objects before."""
        from evalsuite.engine.planning import plan

        def make() -> "ScorePlan":
            return plan.plan_packs(requests, budget, most)

        return self._get((tuple(map(id, requests)), budget, most), make)

    def _get(self, key: tuple[object, ...], make: Callable[[], "ScorePlan"]) -> "ScorePlan":
        found = self._plans.pop(key, None) or make()
        self._plans[key] = found  # the latest is the last
        for oldest in list(self._plans)[:-KEPT_PLANS]:
            del self._plans[oldest]
        return found
