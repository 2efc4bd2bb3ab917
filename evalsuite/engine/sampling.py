"""The next token of each row: the most probable one, or a draw of the row's own."""

from collections.abc import Sequence

import torch

from evalsuite.types import GenerateRequest, sha256_of

COLDEST = 1e-6
"""Below this a temperature cannot be told from greedy in float32, and is treated as such."""


def generator_for(request: GenerateRequest) -> torch.Generator | None:
    """The request's own source of randomness, seeded from all of its content; None if it is greedy.

    It lives on the CPU and gives one number per token, so that a sample depends neither on the
    batch around it nor on the device's own random numbers.
    """
    if request.temperature <= COLDEST:
        return None
    content = [
        list(request.context), list(request.stop), request.max_tokens,
        request.temperature, request.top_p, request.seed, request.sample,
    ]  # fmt: skip
    return torch.Generator().manual_seed(int(sha256_of(content)[:15], 16))


def next_tokens(
    logits: torch.Tensor, requests: Sequence[GenerateRequest], generators: Sequence[torch.Generator | None]
) -> list[int]:
    """One token id per row of `logits` (rows, vocabulary)."""
    tokens = logits.argmax(dim=-1)
    drawn = [row for row, generator in enumerate(generators) if generator is not None]
    if drawn:
        uniform = [torch.rand((), generator=generators[row], dtype=torch.float64).item() for row in drawn]
        temperature = [requests[row].temperature for row in drawn]
        top_p = [requests[row].top_p for row in drawn]
        values = torch.tensor([uniform, temperature, top_p], dtype=torch.float32, device=logits.device)
        tokens[drawn] = draw(logits[drawn], *values)
    return tokens.tolist()


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
