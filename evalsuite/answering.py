"""Gets every request answered: from the store, else from the engine, and then stored at once."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from evalsuite.engine.protocol import Block, Engine
from evalsuite.progress import Progress, Stage
from evalsuite.store import ResponseStore, request_key
from evalsuite.types import Failure, GenerateRequest, Request, Response, Score, ScoreRequest


@dataclass
class Answers:
    """The answers of a run and what they cost in this session."""

    by_request: dict[Request, Response] = field(default_factory=dict)
    computed: set[Request] = field(default_factory=set)
    """Requests that this session answered."""
    tokens: int = 0
    seconds: float = 0.0


def answer(
    scores: Sequence[ScoreRequest],
    texts: Sequence[GenerateRequest],
    engine: Engine,
    store: ResponseStore,
    progress: Progress,
) -> Answers:
    """Answer distinct requests; scoring first. The engine is not touched where nothing is missing.

    Raises:
        StorageError: the disk is full or the store damaged; answers stored before are kept.
    """
    answers = Answers()
    _answer_kind("scoring", scores, engine.score, engine, store, progress, answers)
    _answer_kind("generating", texts, engine.generate, engine, store, progress, answers)
    return answers


def _answer_kind(
    name: str,
    requests: Sequence[Request],
    work: Callable[..., Iterator[Block]],
    engine: Engine,
    store: ResponseStore,
    progress: Progress,
    answers: Answers,
) -> None:
    keys = {request: request_key(request, engine.identity) for request in requests}
    stored = store.get(list(keys.values()))
    known = {request: stored[key] for request, key in keys.items() if key in stored}
    answers.by_request.update(known)
    if len(known) == len(keys):
        return
    progress.stage(Stage(name, at_most=name == "generating"))
    started = time.monotonic()
    for block in work(requests, answered=known.keys()):
        received = [(request, _refused_if_nan(response)) for request, response in block.answers]
        store.put((keys[request], response) for request, response in received)
        for request, response in received:
            # An answer from before the interruption stays: it is what the store keeps.
            answers.by_request.setdefault(request, response)
            answers.computed.add(request)
        if not block.answers:
            started = time.monotonic()
        answers.tokens += block.tokens
        progress.advance(block.tokens, block.planned)
    answers.seconds += time.monotonic() - started


def _refused_if_nan(response: Response) -> Response:
    """NaN compares as neither more nor less, so that the first choice would win every question."""
    if isinstance(response, Score) and any(map(math.isnan, response.log_probs)):
        return Failure("the model gave NaN as a log-probability; its data type may be too narrow (--dtype)")
    return response
