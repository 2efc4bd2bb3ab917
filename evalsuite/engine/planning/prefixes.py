"""Plans which prompts share which prefix in generation, without torch.

A plan is a function of the whole set of requests, answered ones included, so that a resumed run cuts its
prompts at the same token positions as an uninterrupted one.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from evalsuite.types import GenerateRequest, TokenIds

WORTH_A_PREFIX = 64
"""Tokens that sharing a prefix must save, net of the prefix itself: each prefix costs a forward pass."""

DEEPEST = 64
"""Greatest nesting depth of prefixes within prefixes."""


@dataclass(frozen=True, slots=True)
class SlotPrompt:
    """A prompt cut in two, and all its requests (samples, other limits or stop strings)."""

    shared: TokenIds
    """The prefix, computed once for all prompts that share it; may be empty."""
    own: TokenIds
    """The rest of the prompt: at least one token, whose logits give the first answer token."""
    requests: tuple[GenerateRequest, ...]

    @property
    def longest_answer(self) -> int:
        """Most tokens that any of the requests may generate."""
        return max(request.max_tokens for request in self.requests)


def plan_slots(
    requests: Iterable[GenerateRequest], answered: Collection[GenerateRequest] = ()
) -> list[SlotPrompt]:
    """Prompts with unanswered requests, grouped by prefix, in each group the longest prompt first."""
    by_context: dict[TokenIds, list[GenerateRequest]] = {}
    for request in requests:
        by_context.setdefault(request.context, []).append(request)
    contexts = sorted(by_context)
    depths = shared_depths(contexts)
    prompts = []
    for context, depth in zip(contexts, depths, strict=True):
        left = sorted((request for request in by_context[context] if request not in answered), key=_order)
        if left:
            prompts.append(SlotPrompt(context[:depth], context[depth:], tuple(left)))
    return sorted(
        prompts, key=lambda prompt: (-len(prompt.shared), prompt.shared, -len(prompt.own), prompt.own)
    )


def prefill_tokens(prompts: Iterable[SlotPrompt]) -> int:
    """Prompt tokens that the model computes: each prefix once, and the rest of each prompt."""
    prompts = list(prompts)
    prefixes = {prompt.shared for prompt in prompts}
    return sum(map(len, prefixes)) + sum(len(prompt.own) for prompt in prompts)


def in_slots(prompts: Iterable[SlotPrompt], slots: int) -> list[SlotPrompt]:
    """The prompts; a prompt with more requests than `slots` is split into several."""
    return [
        replace(prompt, requests=prompt.requests[start : start + slots])
        for prompt in prompts
        for start in range(0, len(prompt.requests), slots)
    ]


def shared_depths(contexts: Sequence[TokenIds]) -> list[int]:
    """The shared prefix length of each of the sorted, distinct contexts.

    A common beginning becomes a prefix if that saves `WORTH_A_PREFIX` tokens compared with the shorter prefix
    that its contexts would otherwise share. Every context keeps at least one token of its own.
    """
    depths = [0] * len(contexts)
    common = [0, *(_common(left, right) for left, right in pairwise(contexts))]

    def settle(start: int, end: int, base: int, level: int) -> list[int]:
        """Set the prefixes of contexts[start:end]; returns the contexts that get none longer than `base`."""
        if end - start == 1 or level > DEEPEST:
            return list(range(start, end))
        depth = min(common[start + 1 : end])
        cuts = [start, *(index for index in range(start + 1, end) if common[index] == depth), end]
        usable = min(depth, min(len(contexts[index]) for index in range(start, end)) - 1)

        def worth(rows: int) -> bool:
            return rows * (usable - base) - usable >= WORTH_A_PREFIX

        inner = usable if worth(end - start) else base
        rest = [index for left, right in pairwise(cuts) for index in settle(left, right, inner, level + 1)]
        if not worth(len(rest)):
            return rest
        for index in rest:
            depths[index] = usable
        return []

    if contexts:
        settle(0, len(contexts), 0, 0)
    return depths


def _common(left: TokenIds, right: TokenIds) -> int:
    """Length of the common prefix; by bisection, since comparing slices is fast."""
    same, end = 0, min(len(left), len(right))
    while same < end:
        middle = (same + end + 1) // 2
        if left[same:middle] == right[same:middle]:
            same = middle
        else:
            end = middle - 1
    return same


def _order(request: GenerateRequest) -> tuple[int | float | tuple[str, ...], ...]:
    return (
        request.max_tokens,
        request.stop,
        request.temperature,
        request.top_p,
        request.seed,
        request.sample,
    )
