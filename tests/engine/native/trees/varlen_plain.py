"""What torch's kernel for sequences of unequal length promises, from plain operations on any device."""

import torch


def varlen_attn(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux, scale, window_size, enable_gqa=False
) -> tuple[torch.Tensor, torch.Tensor]:
    """`torch.nn.attention.varlen.varlen_attn` (2.13): windows are counted from the ends of both sequences."""
    for part, edges, longest in ((query, cu_seq_q, max_q), (key, cu_seq_k, max_k), (value, cu_seq_k, max_k)):
        assert edges.dtype == torch.int32
        assert edges[0] == 0
        assert edges[-1] == len(part)
        assert edges.diff().min() > 0
        assert edges.diff().max() <= longest
        assert part.shape[-1] % 8 == 0
    assert enable_gqa == (query.shape[1] != key.shape[1])
    assert return_aux.lse
    group = query.shape[1] // key.shape[1]
    key, value = (part.float().repeat_interleave(group, dim=1) for part in (key, value))
    result, logs = torch.empty_like(query), torch.empty(query.shape[1], len(query))
    for q, k in zip(_slices(cu_seq_q), _slices(cu_seq_k), strict=True):
        scores = torch.einsum("qhd,khd->hqk", query[q].float(), key[k]) * scale
        left, right = window_size
        last = key[k].shape[0] - query[q].shape[0]
        distance = torch.arange(scores.shape[1])[:, None] + last - torch.arange(scores.shape[2])
        hidden = torch.zeros_like(distance, dtype=torch.bool)
        hidden |= (distance > left) & (left >= 0)
        hidden |= (-distance > right) & (right >= 0)
        scores = scores.masked_fill(hidden, -torch.inf)
        result[q] = torch.einsum("hqk,khd->qhd", scores.softmax(-1), value[k]).to(query.dtype)
        logs[:, q] = scores.logsumexp(-1)
    return result, logs


def _slices(edges: torch.Tensor) -> list[slice]:
    return [slice(*pair) for pair in zip(edges.tolist(), edges[1:].tolist(), strict=False)]


def merged(result, normaliser, queries, part, log) -> tuple[torch.Tensor, torch.Tensor]:
    """What merging partial attention promises, in float64: the outputs and normalisers of all rows."""
    result, normaliser, part, log = (one.double() for one in (result, normaliser, part, log))
    known, new = normaliser[:, queries].exp(), log.exp()
    result, normaliser = result.clone(), normaliser.clone()
    share = (new / (known + new)).T[..., None]
    result[queries] = (1 - share) * result[queries] + share * part
    normaliser[:, queries] = (known + new).log()
    return result, normaliser
