"""Builds the token-level requests of a task, and finds documents that do not fit the context window."""

from dataclasses import replace

from evalsuite.engine.protocol import Tokenizer
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.document import DocumentRequests
from evalsuite.requests.encode_prompts import encode_prompts
from evalsuite.types import ClozePair, MultipleChoice, Request, ScoreRequest


def build_requests(
    prepared: PreparedTask, tokenizer: Tokenizer, window: int | None, seed: int
) -> list[DocumentRequests]:
    """The requests of each document of a task.

    Args:
        prepared: the documents and their prompts.
        tokenizer: the model's tokenizer.
        window: context window in tokens, or None. It need not hold a scored continuation's last token, but
            must have space for at least one generated token.
        seed: seed of sampled generation.
    """
    spec = prepared.selected.spec
    window = min(filter(None, (window, spec.window)), default=None)
    cut = spec.overlong == "cut"
    asked = encode_prompts(prepared.prompts, prepared.shots_shown, tokenizer, None if cut else window, seed)
    if cut and window is not None:
        # A continuation's last token is no input: llm-foundry counts it all the same, Ai2 does not.
        size = window + 1 if spec.join == "apart" else window
        asked = [_cut(one, size) for one in asked]
    if spec.overlong == "drop_shots":
        for index, first in enumerate(asked):
            if first.too_long:
                asked[index] = _with_fewer_shots(prepared, index, first, tokenizer, window, seed)
    return [_distinct(prepared, index, requests) for index, requests in enumerate(asked)]


def _distinct(prepared: PreparedTask, index: int, asked: DocumentRequests) -> DocumentRequests:
    """The requests, or a problem if two of the choices have the same tokens."""
    if not isinstance(prepared.documents[index].question, MultipleChoice | ClozePair):
        return asked  # Accepted answers are not compared with each other.
    texts: dict[Request, tuple[str, str]] = {}
    for request, pair in zip(asked.requests, asked.prompt.pairs, strict=False):
        if texts.setdefault(request, pair) != pair:
            first, second = texts[request][1], pair[1]
            problem = f"the choices {first[:60]!r} and {second[:60]!r} have the same tokens"
            return replace(asked, requests=(), problem=problem)
    return asked


def _cut(asked: DocumentRequests, size: int) -> DocumentRequests:
    """The scoring requests with contexts cut at the beginning, so that each has `size` tokens at most."""
    scores = [request for request in asked.requests if isinstance(request, ScoreRequest)]
    if all(len(request.context) + len(request.continuation) <= size for request in scores):
        return asked
    if any(len(request.continuation) >= size for request in scores):
        return replace(asked, requests=())
    kept = tuple(
        replace(request, context=request.context[-(size - len(request.continuation)) :]) for request in scores
    )
    return replace(asked, requests=kept, shortened=True)


def _with_fewer_shots(
    prepared: PreparedTask,
    index: int,
    longest: DocumentRequests,
    tokenizer: Tokenizer,
    window: int | None,
    seed: int,
) -> DocumentRequests:
    for shots in reversed(range(longest.shots)):
        shorter = encode_prompts([prepared.prompt(index, shots)], [shots], tokenizer, window, seed)[0]
        if not shorter.too_long:
            return shorter
    return longest
