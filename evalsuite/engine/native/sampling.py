"""The next token of each row: the most probable one, or a draw of the row's own."""

from collections.abc import Sequence

import torch

from evalsuite.engine.native.transfer import to_device
from evalsuite.types import GenerateRequest, sha256_of

COLDEST = 1e-6
"""Below this a temperature cannot be told from greedy in float32, and is treated as such."""
NO_TOKEN = -1
"""In place of a token id where the logits name none: one of them is NaN, or the largest is infinite."""


def generator_for(request: GenerateRequest) -> torch.Generator | None:
    """The request's own source of randomness, seeded from all of its content; None if it is greedy.

    It lives on the CPU and gives one number per token, so that a sample depends neither on the
    batch around it nor on the device's own random numbers.
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
    """One token id per row of `logits` (rows, vocabulary); NO_TOKEN where these name none."""
    return chosen_tokens(logits, requests, generators).tolist()


def chosen_tokens(
    logits: torch.Tensor, requests: Sequence[GenerateRequest], generators: Sequence[torch.Generator | None]
) -> torch.Tensor:
    """The same, (rows,) on the device of the logits; on a GPU nothing waits for it."""
    tokens = best_tokens(logits)
    drawn = [row for row, generator in enumerate(generators) if generator is not None]
    if not drawn:
        return tokens
    uniform = [torch.rand((), generator=generators[row], dtype=torch.float64).item() for row in drawn]
    temperature = [requests[row].temperature for row in drawn]
    top_p = [requests[row].top_p for row in drawn]
    device = str(logits.device)
    rows = to_device(torch.tensor(drawn), device)
    values = to_device(torch.tensor([uniform, temperature, top_p], dtype=torch.float32), device)
    tokens[rows] = torch.where(tokens[rows] < 0, NO_TOKEN, draw(logits[rows], *values))
    return tokens


def best_tokens(logits: torch.Tensor) -> torch.Tensor:
    """The most probable token of each row of `logits` (..., vocabulary); NO_TOKEN where these name none.

    A logit of minus infinity is a token that the model never says, as some models mask them: only the largest
    counts. NaN is the largest for `argmax`.
    """
    tokens = logits.argmax(dim=-1)
    largest = logits.gather(-1, tokens[..., None])[..., 0]
    return torch.where(largest.isfinite(), tokens, NO_TOKEN)


def fed(tokens: torch.Tensor) -> torch.Tensor:
    """Token ids as a model takes them: a row without a token gets any, since its text has failed."""
    return tokens.clamp(min=0)


def draw(
    logits: torch.Tensor, uniform: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor
) -> torch.Tensor:
    """Token ids by inverse transform sampling within the nucleus (Holtzman et al. 2020).

    The nucleus is the smallest set of most probable tokens whose probability reaches `top_p`.

    Args:
        logits: (rows, vocabulary).
        uniform, temperature, top_p: (rows,), `uniform` in [0, 1).
    """
    logits = logits.float()
    scaled = (logits - logits.amax(dim=-1, keepdim=True)) / temperature[:, None]
    probability, order = scaled.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    cumulative = probability.cumsum(dim=-1)
    inside = (cumulative - probability < top_p[:, None]).sum(dim=-1, keepdim=True).clamp(min=1)
    mass = cumulative.gather(-1, inside - 1)
    rank = torch.searchsorted(cumulative, uniform[:, None] * mass, right=True)
    return order.gather(-1, torch.minimum(rank, inside - 1)).squeeze(-1)
