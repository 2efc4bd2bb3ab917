"""Which prompts share which prefix: pure planning of generation, no torch.

A plan is a function of the whole set of requests, answered ones included, so that a resumed run cuts
its prompts at the same places as an uninterrupted one.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from evalsuite.types import GenerateRequest, TokenIds

WORTH_A_PREFIX = 64
"""Tokens that a prefix has to save besides its own: it costs a pass of its own."""

DEEPEST = 64
"""Prefixes within prefixes beyond this depth are not looked for."""


@dataclass(frozen=True, slots=True)
class SlotPrompt:
    """A prompt cut in two, and every request that asks it (samples, other limits or stop strings)."""

    shared: TokenIds
    """Computed once for all prompts that have it; may be empty."""
    own: TokenIds
    """The rest; at least one token, whose logits give the first answer token."""
    requests: tuple[GenerateRequest, ...]

    @property
    def longest_answer(self) -> int:
        """Most tokens that one of the requests may generate."""
        return max(request.max_tokens for request in self.requests)


def plan_slots(
    requests: Iterable[GenerateRequest], answered: Collection[GenerateRequest] = ()
) -> list[SlotPrompt]:
    """Prompts with work left: those of one prefix together, in each the longest first."""
    by_context: dict[TokenIds, list[GenerateRequest]] = {}
    for request in requests:
        by_context.setdefault(request.context, []).append(request)
    contexts = sorted(by_context)
    depths = shared_depths(contexts)
    prompts = []
    for context, depth in zip(contexts, depths, strict=True):
        left = sorted((one for one in by_context[context] if one not in answered), key=_order)
        if left:
            prompts.append(SlotPrompt(context[:depth], context[depth:], tuple(left)))
    return sorted(prompts, key=lambda one: (-len(one.shared), one.shared, -len(one.own), one.own))


def prefill_tokens(prompts: Iterable[SlotPrompt]) -> int:
    """Prompt tokens that the model computes: each prefix once, and what follows it."""
    prompts = list(prompts)
    return sum(len(shared) for shared in {one.shared for one in prompts}) + sum(
        len(one.own) for one in prompts
    )


def in_slots(prompts: Iterable[SlotPrompt], slots: int) -> list[SlotPrompt]:
    """The prompts, those with more requests than there are slots in several parts."""
    return [
        replace(prompt, requests=prompt.requests[start : start + slots])
        for prompt in prompts
        for start in range(0, len(prompt.requests), slots)
    ]


def shared_depths(contexts: Sequence[TokenIds]) -> list[int]:
    """For each of the sorted, distinct contexts: how many of its first tokens are its shared prefix.

    A common beginning becomes a prefix where that saves `WORTH_A_PREFIX` tokens over the shorter prefix
    that its contexts would have else. Every context keeps at least one token of its own.
    """
    depths = [0] * len(contexts)
    common = [0, *(_common(one, other) for one, other in pairwise(contexts))]

    def settle(start: int, end: int, base: int, level: int) -> list[int]:
        """Give contexts[start:end] their prefixes; returns those that get none longer than `base`."""
        if end - start == 1 or level > DEEPEST:
            return list(range(start, end))
        depth = min(common[start + 1 : end])
        cuts = [start, *(at for at in range(start + 1, end) if common[at] == depth), end]
        usable = min(depth, min(len(contexts[at]) for at in range(start, end)) - 1)

        def worth(rows: int) -> bool:
            return rows * (usable - base) - usable >= WORTH_A_PREFIX

        inner = usable if worth(end - start) else base
        rest = [at for left, right in pairwise(cuts) for at in settle(left, right, inner, level + 1)]
        if not worth(len(rest)):
            return rest
        for at in rest:
            depths[at] = usable
        return []

    if contexts:
        settle(0, len(contexts), 0, 0)
    return depths


def _common(one: TokenIds, other: TokenIds) -> int:
    """How many first tokens are the same; by bisection, as comparing slices is fast."""
    same, end = 0, min(len(one), len(other))
    while same < end:
        middle = (same + end + 1) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            end = middle - 1
    return same


def _order(request: GenerateRequest) -> tuple:
    return (
        request.max_tokens,
        request.stop,
        request.temperature,
        request.top_p,
        request.seed,
        request.sample,
    )
