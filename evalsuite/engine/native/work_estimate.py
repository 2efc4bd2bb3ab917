"""Estimates the tokens and the memory of requests before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.memory_estimate import needs_of
from evalsuite.types import GenerateRequest, ScoreRequest


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a set of requests; in tokens, unless stated otherwise."""

    requests: int
    """Number of requests."""
    requested: int
    """Tokens if each request were computed by itself: inputs of scores and prompts of texts."""
    distinct: int
    """Tokens of the tree of all inputs and prompts."""
    planned: int
    """Tokens computed for scores and prompts."""
    packs: int
    """Number of forward passes for scores."""
    rows: int
    """Number of positions whose logits are computed for scores."""
    generated_at_most: int
    """Tokens of the generated texts if none ends early."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak memory in bytes, as estimated from the model's files."""

    weights: int
    forward: int
    """A forward pass of `tokens` tokens, and its logits."""
    tokens: int
    copies: int = 0
    """Copies of weights in a layout for faster products (`cpu.onednn`); made if memory is ample."""
    slots: int = 0
    """The most that rows of generation may take, beside the weights; not part of `total`."""
    problem: str = ""
    """Why the model does not fit into a GPU's memory, in a few words; empty if it does."""

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return self.weights + self.copies + self.forward


def work_of(
    engine: TransformersEngine, scores: Sequence[ScoreRequest], texts: Sequence[GenerateRequest]
) -> Work:
    """Count the work of distinct requests as this engine would compute them."""
    from evalsuite.engine.planning.pack import lay_requests
    from evalsuite.engine.planning.plan import sort_inputs, sortable
    from evalsuite.engine.planning.prefixes import plan_slots, prefill_tokens

    plan = engine.scorer.plan_packs(scores)
    everything, _ = sort_inputs(
        {
            *(sortable((request.context + request.continuation)[:-1]) for request in scores),
            *(sortable(request.context) for request in texts),
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
        requested=plan.requested + sum(len(request.context) for request in texts),
        distinct=everything.distinct,
        planned=scoring + prefill_tokens(plan_slots(texts, ())),
        packs=packs,
        rows=rows,
        generated_at_most=sum(request.max_tokens for request in texts),
    )


def memory_of(engine: TransformersEngine) -> Memory:
    """Peak memory, estimated from the model's files; nothing is loaded."""
    needs, sizes = needs_of(engine.files, engine.model.dtype, engine.device), engine.limits.sizes
    tokens = sizes.batches.tokens if engine.scorer.why_batches else sizes.pack_tokens
    estimate = needs.on_gpu if engine.device.startswith("cuda") else needs.activations
    forward = estimate(tokens, sizes.positions_per_chunk)
    copies = engine.model.copied_bytes
    return Memory(needs.weights, forward, tokens, copies, sizes.slot_memory, sizes.problem)
