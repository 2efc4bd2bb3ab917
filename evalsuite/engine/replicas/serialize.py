"""Serialises requests and answers between driver and workers, as plain tuples, which pickle fast.

A context that several requests share is sent once.
"""

import pickle
from collections.abc import Iterable, Sequence

from evalsuite.types import (
    Failure,
    Generated,
    GenerateRequest,
    Request,
    Response,
    Score,
    ScoreRequest,
    TokenIds,
)


def pack_requests(requests: Sequence[Request]) -> bytes:
    """Serialise requests of one kind."""
    contexts: dict[TokenIds, TokenIds] = {}
    rows: list[tuple[object, ...]] = []
    for request in requests:
        context = contexts.setdefault(request.context, request.context)
        match request:
            case ScoreRequest():
                rows.append((context, request.continuation))
            case GenerateRequest():
                settings = (
                    request.stop,
                    request.max_tokens,
                    request.temperature,
                    request.top_p,
                    request.seed,
                    request.sample,
                    request.backend,
                )
                rows.append((context, *settings))
    return pickle.dumps(rows, pickle.HIGHEST_PROTOCOL)


def unpack_requests(sent: bytes) -> list[Request]:
    """The requests that `pack_requests` serialised, in the same order."""
    rows = pickle.loads(sent)
    return [ScoreRequest(*row) if len(row) == 2 else GenerateRequest(*row) for row in rows]


def pack_responses(responses: Iterable[Response]) -> bytes:
    """Serialise answers of any kind."""
    rows: list[tuple[object, ...]] = []
    for response in responses:
        match response:
            case Score(log_probs, is_greedy, rounded_sum):
                rows.append(("score", log_probs, is_greedy, rounded_sum))
            case Generated(text, tokens, finish):
                rows.append(("text", text, tokens, finish))
            case Failure(reason):
                rows.append(("failure", reason))
    return pickle.dumps(rows, pickle.HIGHEST_PROTOCOL)


def unpack_responses(sent: bytes) -> list[Response]:
    """The answers that `pack_responses` serialised, in the same order."""
    kinds = {"score": Score, "text": Generated, "failure": Failure}
    return [kinds[kind](*fields) for kind, *fields in pickle.loads(sent)]
