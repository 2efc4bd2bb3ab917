"""Requests and answers as bytes between driver and workers: plain tuples, which pickle at the speed of C.

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
    """Requests of one kind."""
    contexts: dict[TokenIds, TokenIds] = {}
    rows: list[tuple] = []
    for one in requests:
        context = contexts.setdefault(one.context, one.context)
        match one:
            case ScoreRequest():
                rows.append((context, one.continuation))
            case GenerateRequest():
                given = (
                    one.stop,
                    one.max_tokens,
                    one.temperature,
                    one.top_p,
                    one.seed,
                    one.sample,
                    one.backend,
                )
                rows.append((context, *given))
    return pickle.dumps(rows, pickle.HIGHEST_PROTOCOL)


def unpack_requests(sent: bytes) -> list[Request]:
    """What `pack_requests` packed, in its order."""
    rows = pickle.loads(sent)
    return [ScoreRequest(*row) if len(row) == 2 else GenerateRequest(*row) for row in rows]


def pack_responses(responses: Iterable[Response]) -> bytes:
    """Answers of any kind."""
    rows: list[tuple] = []
    for one in responses:
        match one:
            case Score(log_probs, is_greedy, rounded_sum):
                rows.append(("score", log_probs, is_greedy, rounded_sum))
            case Generated(text, tokens, finish):
                rows.append(("text", text, tokens, finish))
            case Failure(reason):
                rows.append(("failure", reason))
    return pickle.dumps(rows, pickle.HIGHEST_PROTOCOL)


def unpack_responses(sent: bytes) -> list[Response]:
    """What `pack_responses` packed, in its order."""
    kinds = {"score": Score, "text": Generated, "failure": Failure}
    return [kinds[kind](*fields) for kind, *fields in pickle.loads(sent)]
