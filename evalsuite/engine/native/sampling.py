"""The next token of each row: the most probable token, or a sample from the row's own random generator."""

from collections.abc import Sequence

import torch

from evalsuite.engine.native.transfer import to_device
from evalsuite.types import GenerateRequest, sha256_of

COLDEST = 1e-6
"""At or below this temperature, sampling equals greedy decoding in float32, and is computed as such."""
NO_TOKEN = -1
"""Stands for a token id if the logits determine none: one of them is NaN, or the largest is infinite."""


def generator_for(request: GenerateRequest) -> torch.Generator | None:
    """A random generator for this request alone, seeded from its whole content; None if it is greedy.

    It is on the CPU and gives one number per token, so that a sample depends neither on its batch nor on the
    device's own random numbers.
    """
    if request.temperature <= COLDEST:
        return None
    content = [
        list(request.context),
        list(request.stop),
        request.max_tokens,
        request.temperature,
        request.top_p,
        request.seed,
        request.sample,
    ]
    return torch.Generator().manual_seed(int(sha256_of(content)[:15], 16))


def next_tokens(
    logits: torch.Tensor, requests: Sequence[GenerateRequest], generators: Sequence[torch.Generator | None]
) -> list[int]:
    """`chosen_tokens` as a list of ids."""
    return [int(token) for token in chosen_tokens(logits, requests, generators).tolist()]


def chosen_tokens(
    logits: torch.Tensor, requests: Sequence[GenerateRequest], generators: Sequence[torch.Generator | None]
) -> torch.Tensor:
    """One token id per row of `logits` (rows, vocabulary), or NO_TOKEN; does not synchronise with a GPU.

    Returns:
        (rows,) ids on the device of the logits.
    """
    tokens = best_tokens(logits)
    sampled = [row for row, generator in enumerate(generators) if generator is not None]
    if not sampled:
        return tokens
    uniform = [torch.rand((), generator=generators[row], dtype=torch.float64).item() for row in sampled]
    temperature = [requests[row].temperature for row in sampled]
    top_p = [requests[row].top_p for row in sampled]
    device = str(logits.device)
    rows = to_device(torch.tensor(sampled), device)
    values = to_device(torch.tensor([uniform, temperature, top_p], dtype=torch.float32), device)
    tokens[rows] = torch.where(tokens[rows] < 0, NO_TOKEN, draw(logits[rows], *values))
    return tokens


def best_tokens(logits: torch.Tensor) -> torch.Tensor:
    """The most probable token of each row of `logits` (..., vocabulary), or NO_TOKEN: (...,) ids.

    Only the largest logit must be finite: some models mask tokens that they never generate with minus
    infinity. `argmax` treats NaN as the largest value.
    """
    tokens = logits.argmax(dim=-1)
    largest = logits.gather(-1, tokens[..., None])[..., 0]
    return torch.where(largest.isfinite(), tokens, NO_TOKEN)


def fed(tokens: torch.Tensor) -> torch.Tensor:
    """Token ids as model inputs: NO_TOKEN becomes an arbitrary valid id, since the row's text has failed."""
    return tokens.clamp(min=0)


def draw(
    logits: torch.Tensor, uniform: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor
) -> torch.Tensor:
    """Token ids by inverse transform sampling within the nucleus (Holtzman et al. 2020).

    The nucleus is the smallest set of most probable tokens whose probability reaches `top_p`.

    Args:
        logits: (rows, vocabulary).
        uniform, temperature, top_p: (rows,), `uniform` in [0, 1).

    Returns:
        (rows,) ids.
    """
    logits = logits.float()
    scaled = (logits - logits.amax(dim=-1, keepdim=True)) / temperature[:, None]  # (rows, vocabulary)
    probability, order = scaled.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    cumulative = probability.cumsum(dim=-1)
    inside = (cumulative - probability < top_p[:, None]).sum(dim=-1, keepdim=True).clamp(min=1)  # (rows, 1)
    mass = cumulative.gather(-1, inside - 1)  # (rows, 1) probability of the nucleus
    rank = torch.searchsorted(cumulative, uniform[:, None] * mass, right=True)  # (rows, 1)
    return order.gather(-1, torch.minimum(rank, inside - 1)).squeeze(-1)
