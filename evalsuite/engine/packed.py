"""Log-likelihoods of a pack: one forward pass over its row, and the LM head on the positions that are read."""

import inspect
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from evalsuite.engine.loading import LoadedModel
from evalsuite.engine.needs import POSITIONS_PER_CHUNK
from evalsuite.engine.pack import Reading, lay_requests
from evalsuite.engine.plan import Run, ScorePlan
from evalsuite.engine.score import read_targets
from evalsuite.engine.tree import Tree, tree_of
from evalsuite.engine.tree_attention import attending
from evalsuite.engine.tree_mamba import walking
from evalsuite.types import Score, ScoreRequest


@torch.inference_mode()
def score_run(loaded: LoadedModel, plan: ScorePlan, run: Run) -> list[tuple[ScoreRequest, Score]]:
    """Answers to everything that is read from the inputs of a run."""
    pack, reading = lay_requests(plan, run)
    output = run_body(loaded, tree_of(pack, loaded.device))
    log_probs, is_best = _read(loaded, output, reading)
    ends = np.cumsum([0, *(len(one.continuation) for one in reading.requests)]).tolist()
    return [
        (request, Score(tuple(log_probs[start:end]), all(is_best[start:end])))
        for request, (start, end) in zip(reading.requests, pairwise(ends), strict=True)
    ]


def run_body(loaded: LoadedModel, tree: Tree) -> Any:
    """The output of the model without its head for the tree's row; hidden states are (1, tokens, width)."""
    body = loaded.model.base_model
    options = {"position_ids": tree.depths[None], "use_cache": False}
    taken = inspect.signature(body.forward).parameters
    with attending(loaded.model, tree), walking(loaded.model, tree):
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


def _read(loaded: LoadedModel, output: Any, reading: Reading) -> tuple[list[float], list[bool]]:
    """Log-probability of each target token after the body's `output`, and whether it is the best one of its row."""
    rows, row_of, tokens = map(torch.from_numpy, (reading.rows, reading.row_of, reading.tokens))
    log_probs, is_best = torch.empty(len(tokens)), torch.empty(len(tokens))
    by_row = row_of.argsort(stable=True)
    starts = torch.arange(0, len(rows) + POSITIONS_PER_CHUNK, POSITIONS_PER_CHUNK)
    edges = torch.searchsorted(row_of[by_row], starts).tolist()
    for start, first, last in zip(starts.tolist(), edges, edges[1:], strict=False):
        within = by_row[first:last]
        logits = logits_at(loaded, output, rows[start : start + POSITIONS_PER_CHUNK])
        log_probs[within], is_best[within] = (
            read.cpu()
            for read in read_targets(
                logits, row_of[within] - start, tokens[within], rounded=loaded.rounded_logits
            )
        )
    return log_probs.tolist(), [flag > 0 for flag in is_best.tolist()]
