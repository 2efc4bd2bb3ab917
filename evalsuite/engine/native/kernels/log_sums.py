"""Log-sum-exp and maximum of rows of logits in one pass over them.

torch's log-softmax would write a second matrix of positions x vocabulary, of which a few entries are read.
"""

import torch
import triton
import triton.language as tl

WIDEST = 4096
"""Logits of a row that are looked at together."""
LOWEST = tl.constexpr(-3.4e38)
"""Below every finite logit, and finite itself: minus infinity less itself would be no number."""


@triton.jit
def _row(logits, log_sums, best, stride, vocabulary, WIDTH: tl.constexpr):
    """One row: each lane keeps its own maximum and its sum relative to that."""
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, WIDTH)
    top = tl.full((WIDTH,), LOWEST, tl.float32)
    total = tl.zeros((WIDTH,), tl.float32)
    for start in range(0, vocabulary, WIDTH):
        token = start + lane
        value = tl.load(logits + row * stride + token, mask=token < vocabulary, other=-float("inf"))
        value = value.to(tl.float32)
        higher = tl.maximum(top, value)
        total = total * tl.exp(top - higher) + tl.exp(value - higher)
        top = higher
    highest = tl.max(top, 0)
    log_sum = highest + tl.log(tl.sum(total * tl.exp(top - highest), 0))
    tl.store(log_sums + row, log_sum)
    tl.store(best + row, tl.where(log_sum == log_sum, highest, log_sum))  # no number is the best of NaNs


def log_sums_of(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-sum-exp and maximum of each row; both NaN where a row holds NaN.

    Args:
        logits: (n, vocabulary), of any floating type.

    Returns:
        Two of (n,), float32.
    """
    logits = logits if logits.stride(-1) == 1 else logits.contiguous()
    rows, vocabulary = logits.shape
    log_sums, best = (torch.empty(rows, device=logits.device) for _ in range(2))
    if rows:
        width = min(WIDEST, triton.next_power_of_2(vocabulary))
        with torch.cuda.device_of(logits):
            _row[rows,](logits, log_sums, best, logits.stride(0), vocabulary, WIDTH=width, num_warps=8)
    return log_sums, best


def read_tokens(
    logits: torch.Tensor, row: torch.Tensor, token: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of `token` in `row` of `logits`, and 1 where it is the best (a tie is), else 0.

    Args:
        logits: (n, vocabulary).
        row: (targets,) indices into the n, on the device of `logits`.
        token: (targets,) ids, there too.
    """
    log_sums, best = log_sums_of(logits)
    value = logits[row, token].float()
    return value - log_sums[row], (value >= best[row]).float()


def difference_in_a_trial(device: str) -> float:
    """Largest difference from torch on a few rows."""
    logits = torch.linspace(-9, 9, 3 * 5000, device=device).view(5000, 3).T.contiguous()
    return (log_sums_of(logits)[0] - logits.logsumexp(-1)).abs().max().item()
