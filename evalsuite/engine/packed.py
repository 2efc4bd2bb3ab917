"""Log-likelihoods of a pack: one forward pass over its row, and the LM head on the positions that are read."""

import inspect
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from evalsuite.engine.loading import LoadedModel
from evalsuite.engine.pack import lay
from evalsuite.engine.plan import Run, ScorePlan
from evalsuite.engine.score import POSITIONS_PER_CHUNK
from evalsuite.engine.tree import Tree, tree_of
from evalsuite.engine.tree_attention import attending
from evalsuite.types import Score, ScoreRequest


@torch.inference_mode()
def score_run(loaded: LoadedModel, plan: ScorePlan, run: Run) -> list[tuple[ScoreRequest, Score]]:
    """Answers to everything that is read from the inputs of a run."""
    requests = [plan.requests[index] for index in run]
    pack, positions = lay(
        plan.inputs, run, [max(len(one.continuation) for one in together) for together in requests]
    )
    targets = np.concatenate(
        [
            path[-len(one.continuation) :]
            for together, path in zip(requests, positions, strict=True)
            for one in together
        ]
    )
    flat = [one for together in requests for one in together]
    tokens = torch.tensor([token for one in flat for token in one.continuation])
    rows, row_of = np.unique(targets, return_inverse=True)
    output = run_body(loaded, tree_of(pack, loaded.device))
    log_probs, is_best = _read(loaded, output, torch.from_numpy(rows), torch.from_numpy(row_of), tokens)
    ends = np.cumsum([0, *(len(one.continuation) for one in flat)]).tolist()
    return [
        (request, Score(tuple(log_probs[start:end]), all(is_best[start:end])))
        for request, (start, end) in zip(flat, pairwise(ends), strict=True)
    ]


def run_body(loaded: LoadedModel, tree: Tree) -> Any:
    """The output of the model without its head for the tree's row; hidden states are (1, tokens, width)."""
    body = loaded.model.base_model
    options = {"position_ids": tree.depths[None], "use_cache": False}
    taken = inspect.signature(body.forward).parameters
    with attending(loaded.model, tree):
        return body(
            input_ids=tree.ids[None], **{name: value for name, value in options.items() if name in taken}
        )


def logits_at(loaded: LoadedModel, output: Any, rows: torch.Tensor) -> torch.Tensor:
    """(n, vocabulary) logits of some positions of `run_body`'s output.

    The model's own forward pass does it, with its body replaced by the hidden states, so that whatever it does
    with the logits (scaling, soft-capping) is done.
    """
    model, body = loaded.model, loaded.model.base_model
    hidden = output.last_hidden_state
    picked = type(output)(**{**output, "last_hidden_state": hidden[:, rows.to(hidden.device)]})
    body.__dict__["forward"] = lambda *args, **options: picked
    try:
        options = {"use_cache": False} if "use_cache" in loaded.parameters else {}
        return model(input_ids=rows[None].to(hidden.device), **options).logits[0]
    finally:
        del body.__dict__["forward"]


def _read(
    loaded: LoadedModel, output: Any, rows: torch.Tensor, row_of: torch.Tensor, tokens: torch.Tensor
) -> tuple[list[float], list[bool]]:
    """Log-probability of each target token, and whether it is the best one of its row (a tie is).

    Args:
        loaded: the model.
        output: of its body.
        rows: (r,) positions that are read.
        row_of: (n,) index among `rows` of each target.
        tokens: (n,) the targets.
    """
    log_probs, is_best = torch.empty(len(tokens)), torch.empty(len(tokens), dtype=torch.bool)
    by_row = row_of.argsort(stable=True)
    edges = torch.searchsorted(
        row_of[by_row], torch.arange(0, len(rows) + POSITIONS_PER_CHUNK, POSITIONS_PER_CHUNK)
    )
    for chunk, (first, last) in enumerate(pairwise(edges.tolist())):
        start = chunk * POSITIONS_PER_CHUNK
        if first == last:
            continue
        within = by_row[first:last]
        logits = logits_at(loaded, output, rows[start : start + POSITIONS_PER_CHUNK])
        row, token = (part.to(logits.device) for part in (row_of[within] - start, tokens[within]))
        log_probs[within] = logits.float().log_softmax(-1)[row, token].cpu()
        is_best[within] = (logits[row, token] >= logits.amax(-1)[row]).cpu()
    return log_probs.tolist(), is_best.tolist()
