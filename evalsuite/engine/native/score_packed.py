"""Log-likelihoods of a pack: one forward pass over its row, and the LM head on the positions it scores."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from evalsuite.engine.native.deterministic import fixed_size
from evalsuite.engine.native.kernels.pointwise.switch import pointwise_by
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.score_batch import awaited_scores, read_targets
from evalsuite.engine.native.temperature import layers_with_temperature, temperature_at
from evalsuite.engine.native.transfer import arrays_to_device, begin_to_host
from evalsuite.engine.native.trees.attention import attending
from evalsuite.engine.native.trees.recurrent import walking
from evalsuite.engine.native.trees.tree import Tree, tree_of
from evalsuite.engine.planning.pack import Targets, lay_requests
from evalsuite.engine.planning.plan import PackRange, ScorePlan
from evalsuite.types import Score, ScoreRequest

Scores = list[tuple[ScoreRequest, Score]]


def score_run(loaded: LoadedModel, plan: ScorePlan, run: PackRange) -> Scores:
    """Answers to all requests of a run's inputs."""
    return begin_run(loaded, plan, run)()


@torch.inference_mode()
def begin_run(loaded: LoadedModel, plan: ScorePlan, run: PackRange) -> Callable[[], Scores]:
    """Launch a run's forward pass; the returned function waits for its answers.

    Nothing here waits for the device, so that a GPU computes a pack while the host lays out the next one
    and stores the answers of the last one.
    """
    pack, targets = lay_requests(plan, run)
    if loaded.fixed_sizes:
        pack = pack.filled(fixed_size(len(pack)))
    tree = tree_of(pack, loaded.device, loaded.paths)
    return _read(loaded, run_body(loaded, tree), targets)


def run_body(loaded: LoadedModel, tree: Tree) -> Any:
    """Run the model without its head on the tree's row; the output's hidden states are (1, tokens, width)."""
    body = body_of(loaded.model)
    tree.rounds_as_model = loaded.rounded_logits
    options = {"position_ids": tree.depths[None], "use_cache": False}
    accepted = inspect.signature(body.forward).parameters
    tempered = temperature_at(layers_with_temperature(loaded.model), tree.depths[None])
    path = tree.paths.pointwise
    pointwise = pointwise_by(loaded.model, path, lambda: tree.ran.add(("pointwise", path)))
    with attending(loaded.model, tree), walking(loaded.model, tree), tempered, pointwise:
        return body(
            input_ids=tree.ids[None], **{name: value for name, value in options.items() if name in accepted}
        )


def body_of(model: Any) -> Any:
    """A model without its head; the model itself if it has no separate body.

    Llama-4's class declares its body as `language_model`, but stores it as `model`.
    """
    body = model.base_model
    return getattr(model, "model", model) if body is model else body


def logits_at(loaded: LoadedModel, output: Any, rows: torch.Tensor) -> torch.Tensor:
    """(n, vocabulary) logits at the positions `rows` (n,) of `run_body`'s output.

    Runs the model's own forward pass with its body replaced by the hidden states, so that whatever it does
    with the logits (scaling, soft-capping) still happens.
    """
    hidden = output.last_hidden_state
    picked = type(output)(**{**output, "last_hidden_state": hidden[:, rows.to(hidden.device)]})
    with _forward_replaced(_bodies(loaded.model), lambda *args, **options: picked):
        options = {"use_cache": False} if "use_cache" in loaded.parameters else {}
        logits: torch.Tensor = loaded.model(input_ids=rows[None].to(hidden.device), **options).logits[0]
        return logits


@contextlib.contextmanager
def _forward_replaced(modules: list[torch.nn.Module], forward: Callable[..., Any]) -> Iterator[None]:
    """Within this context the modules' forward is another function; accelerate's hooks are kept for later."""
    originals = [module.__dict__.get("forward") for module in modules]
    for module in modules:
        module.__dict__["forward"] = forward
    try:
        yield
    finally:
        for module, original in zip(modules, originals, strict=True):
            if original is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = original


def _bodies(model: Any) -> list[torch.nn.Module]:
    """Modules that may compute the head's input; OPT calls the decoder in its base model."""
    body = body_of(model)
    decoder = getattr(body, "decoder", None)
    return [body, *([decoder] if isinstance(decoder, torch.nn.Module) else [])]


def _read(loaded: LoadedModel, output: Any, targets: Targets) -> Callable[[], Scores]:
    """Queue the head and the log-probabilities, in chunks of positions; the returned function waits.

    Args:
        loaded: the model.
        output: the body's output.
        targets: the requests' tokens, and the positions that predict them.
    """
    at_once = loaded.positions_per_chunk
    starts = np.arange(0, len(targets.rows) + at_once, at_once)
    by_row = targets.row_of.argsort(kind="stable")  # (targets,)
    edges = np.searchsorted(targets.row_of[by_row], starts)  # a chunk's targets are by_row[edge : next edge]
    rows, row_of, tokens, order = arrays_to_device(
        (targets.rows, targets.row_of, targets.tokens, by_row), str(output.last_hidden_state.device)
    )
    values = torch.empty(2, len(tokens), device=tokens.device)  # log-probabilities, and 1 for most probable
    rounded_to = None
    for start, first, last in zip(starts.tolist(), edges.tolist(), edges[1:].tolist(), strict=False):
        within = order[first:last]
        chunk = rows[start : start + at_once]
        if loaded.fixed_sizes:
            chunk = torch.cat([chunk, chunk[-1:].expand(at_once - len(chunk))])
        logits = logits_at(loaded, output, chunk)  # (chunk, vocabulary)
        rounded_to = logits.dtype if loaded.rounded_logits else None
        values[:, within] = torch.stack(
            read_targets(
                logits,
                row_of[within] - start,
                tokens[within],
                rounded=loaded.rounded_logits,
                path=loaded.paths.log_probs,
            )
        )
    arrived = begin_to_host(values)  # a single transfer
    return awaited_scores(targets.requests, arrived, rounded_to)
