"""Log-sum-exp and maximum of rows of logits, in one pass over them.

torch's log-softmax would write a second (positions, vocabulary) matrix, of which only a few entries are read.
"""

import torch
import triton
import triton.language as tl

LOGITS_AT_ONCE = 4096
"""Logits of a row that are processed together."""
LOWEST = tl.constexpr(-3.4e38)
"""Below every finite logit but finite: minus infinity minus itself would be NaN."""


@triton.jit
def _row(logits, log_sums, best, stride, vocabulary, WIDTH: tl.constexpr):
    """Process one row: each lane keeps its own maximum, and its sum relative to that maximum."""
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
    tl.store(best + row, tl.where(log_sum == log_sum, highest, log_sum))  # NaN if the row contains a NaN


def log_sums_of(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-sum-exp and maximum of each row; both are NaN if the row contains a NaN.

    Args:
        logits: (n, vocabulary), of any floating-point type.

    Returns:
        (n,) float32 each.
    """
    logits = logits if logits.stride(-1) == 1 else logits.contiguous()
    rows, vocabulary = logits.shape
    log_sums, best = (torch.empty(rows, device=logits.device) for _ in range(2))
    if rows:
        width = min(LOGITS_AT_ONCE, triton.next_power_of_2(vocabulary))
        with torch.cuda.device_of(logits):
            _row[rows,](logits, log_sums, best, logits.stride(0), vocabulary, WIDTH=width, num_warps=8)
    return log_sums, best


def read_tokens(
    logits: torch.Tensor, row: torch.Tensor, token: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each target token, and 1 if it is a most probable token, else 0: (targets,) each.

    Args:
        logits: (n, vocabulary).
        row: (targets,) indices of rows of `logits`, on the same device.
        token: (targets,) ids, on the same device.
    """
    log_sums, best = log_sums_of(logits)
    value = logits[row, token].float()
    return value - log_sums[row], (value >= best[row]).float()


def difference_in_a_trial(device: str) -> float:
    """Largest difference from torch on a few rows."""
    logits = torch.linspace(-9, 9, 3 * 5000, device=device).view(5000, 3).T.contiguous()
    return float((log_sums_of(logits)[0] - logits.logsumexp(-1)).abs().max())
