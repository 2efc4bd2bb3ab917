"""Log-likelihoods of a pack: one forward pass over its row, and the LM head on the positions that are
read."""

import inspect
from typing import Any

import numpy as np
import torch

from evalsuite.engine.native.deterministic import fixed_size
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.memory_estimate import POSITIONS_PER_CHUNK
from evalsuite.engine.native.score_batch import read_targets, scores_of
from evalsuite.engine.native.temperature import layers_with_temperature, temperature_at
from evalsuite.engine.native.transfer import arrays_to_device
from evalsuite.engine.native.trees.attention import attending
from evalsuite.engine.native.trees.recurrent import walking
from evalsuite.engine.native.trees.tree import Tree, tree_of
from evalsuite.engine.planning.pack import Targets, lay_requests
from evalsuite.engine.planning.plan import PackRange, ScorePlan
from evalsuite.types import Score, ScoreRequest


@torch.inference_mode()
def score_run(loaded: LoadedModel, plan: ScorePlan, run: PackRange) -> list[tuple[ScoreRequest, Score]]:
    """Answers to everything that is read from the inputs of a run."""
    pack, reading = lay_requests(plan, run)
    if loaded.fixed_sizes:
        pack = pack.filled(fixed_size(len(pack)))
    tree = tree_of(pack, loaded.device, plain=loaded.plain_trees)
    return _read(loaded, run_body(loaded, tree), reading)


def run_body(loaded: LoadedModel, tree: Tree) -> Any:
    """The output of the model without its head for the tree's row; hidden states are (1, tokens, width)."""
    body = body_of(loaded.model)
    options = {"position_ids": tree.depths[None], "use_cache": False}
    taken = inspect.signature(body.forward).parameters
    tempered = temperature_at(layers_with_temperature(loaded.model), tree.depths[None])
    with attending(loaded.model, tree), walking(loaded.model, tree), tempered:
        return body(
            input_ids=tree.ids[None], **{name: value for name, value in options.items() if name in taken}
        )


def body_of(model: Any) -> Any:
    """A model without its head; the model itself where none can be told apart.

    Llama-4's class says that its body is called `language_model`, and calls it `model`.
    """
    body = model.base_model
    return getattr(model, "model", model) if body is model else body


def logits_at(loaded: LoadedModel, output: Any, rows: torch.Tensor) -> torch.Tensor:
    """(n, vocabulary) logits of some positions of `run_body`'s output.

    The model's own forward pass does it, with its body replaced by the hidden states, so that whatever it
    does with the logits (scaling, soft-capping) is done.
    """
    hidden = output.last_hidden_state
    picked = type(output)(**{**output, "last_hidden_state": hidden[:, rows.to(hidden.device)]})
    bodies = _bodies(loaded.model)
    for body in bodies:
        body.__dict__["forward"] = lambda *args, **options: picked
    try:
        options = {"use_cache": False} if "use_cache" in loaded.parameters else {}
        return loaded.model(input_ids=rows[None].to(hidden.device), **options).logits[0]
    finally:
        for body in bodies:
            del body.__dict__["forward"]


def _bodies(model: Any) -> list[torch.nn.Module]:
    """What a model's forward pass may take its hidden states from: OPT's calls the decoder in its base
    model."""
    body = body_of(model)
    decoder = getattr(body, "decoder", None)
    return [body, *([decoder] if isinstance(decoder, torch.nn.Module) else [])]


def _read(loaded: LoadedModel, output: Any, reading: Targets) -> list[tuple[ScoreRequest, Score]]:
    """Answers to the requests, from the body's `output`."""
    starts = np.arange(0, len(reading.rows) + POSITIONS_PER_CHUNK, POSITIONS_PER_CHUNK)
    by_row = reading.row_of.argsort(kind="stable")
    edges = np.searchsorted(reading.row_of[by_row], starts)
    rows, row_of, tokens, order = arrays_to_device(
        (reading.rows, reading.row_of, reading.tokens, by_row), str(output.last_hidden_state.device)
    )
    found = torch.empty(2, len(tokens), device=tokens.device)
    rounded_to = None
    for start, first, last in zip(starts.tolist(), edges.tolist(), edges[1:].tolist(), strict=False):
        within = order[first:last]
        chunk = rows[start : start + POSITIONS_PER_CHUNK]
        if loaded.fixed_sizes:
            chunk = torch.cat([chunk, chunk[-1:].expand(POSITIONS_PER_CHUNK - len(chunk))])
        logits = logits_at(loaded, output, chunk)
        rounded_to = logits.dtype if loaded.rounded_logits else None
        found[:, within] = torch.stack(
            read_targets(logits, row_of[within] - start, tokens[within], rounded=loaded.rounded_logits)
        )
    # One transfer: on a GPU each costs a wait for everything before it.
    log_probs, is_best = found.tolist()
    return scores_of(reading.requests, log_probs, is_best, rounded_to)
