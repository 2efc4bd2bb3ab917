"""What requests will cost, counted before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.types import GenerateRequest, ScoreRequest


@dataclass(frozen=True, slots=True)
class Work:
    """What a model has to compute for some requests; in tokens, unless it says otherwise."""

    requests: int
    """Number of requests."""
    requested: int
    """What each request by itself would take: inputs of scores, prompts of texts."""
    distinct: int
    """Tokens of the tree that all inputs and prompts make."""
    planned: int
    """What is computed for scores and prompts."""
    packs: int
    """Number of forward passes over scores."""
    rows: int
    """Number of positions whose logits are computed for scores."""
    generated_at_most: int
    """Tokens of the texts, if none of them ends early."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak memory in bytes, as estimated from the model's files."""

    weights: int
    forward: int
    """A forward pass of `tokens`, and its logits."""
    tokens: int
    copies: int = 0
    """Of the weights, laid out for faster products (`engine.products`); made where they leave ample room."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.copies + self.forward


def work_of(
    engine: TransformersEngine, scores: Sequence[ScoreRequest], texts: Sequence[GenerateRequest]
) -> Work:
    """Count distinct requests as this engine would compute them."""
    from evalsuite.engine.planning.pack import lay_requests
    from evalsuite.engine.planning.plan import sort_inputs, sortable
    from evalsuite.engine.planning.prefixes import plan_slots, prefill_tokens

    plan = engine.scorer.plan_packs(scores)
    everything, _ = sort_inputs(
        {
            *(sortable((one.context + one.continuation)[:-1]) for one in scores),
            *(sortable(one.context) for one in texts),
        }
    )
    if engine.scorer.why_batches:
        batches = engine.scorer.plan_batches(scores)
        packs, rows = len(batches), sum(row.scored for batch in batches for row in batch)
        scoring = sum(len(row.ids) for batch in batches for row in batch)
    else:
        packs, scoring = len(plan.runs), plan.planned
        rows = sum(len(lay_requests(plan, run)[1].rows) for run in plan.runs)
    return Work(
        requests=len(scores) + len(texts),
        requested=plan.requested + sum(len(one.context) for one in texts),
        distinct=everything.distinct,
        planned=scoring + prefill_tokens(plan_slots(texts, ())),
        packs=packs,
        rows=rows,
        generated_at_most=sum(one.max_tokens for one in texts),
    )


def memory_of(engine: TransformersEngine) -> Memory:
    """Estimated from the model's files; nothing is loaded."""
    from evalsuite.engine.native.cpu.onednn import ROOM
    from evalsuite.engine.native.memory import free_bytes
    from evalsuite.engine.native.memory_estimate import needs_of

    limits = engine.limits
    needs = needs_of(engine.files, engine.model.dtype)
    tokens = limits.budget.tokens if engine.scorer.why_batches else limits.pack_tokens
    copied = engine.model.lays_out and ROOM * needs.weights <= free_bytes(engine.device) - needs.weights
    return Memory(needs.weights, needs.activations(tokens), tokens, needs.weights if copied else 0)
