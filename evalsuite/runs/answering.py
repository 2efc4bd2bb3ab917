"""Answers every request from the store, or else from the engine, whose answers it stores at once."""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evalsuite.engine.protocol import Answered, Begun, Engine, EngineEvent, Planned, R
from evalsuite.errors import ModelError
from evalsuite.progress import Progress, Stage
from evalsuite.results.store import ResponseStore, request_key
from evalsuite.types import Failure, GenerateRequest, Request, Response, Score, ScoreRequest, TokenIds

SMOKE_TEST = "smoke test"


@dataclass
class Answers:
    """The answers of a run and what they cost in this session."""

    by_request: dict[Request, Response] = field(default_factory=dict)
    costs: dict[Request, tuple[float, float]] = field(default_factory=dict)
    """(tokens, seconds) of each request that this session answered."""
    stored: list[bytes] = field(default_factory=list)
    """Keys of the answers that the store held before."""

    def cost(self, requests: Iterable[Request]) -> tuple[float, float]:
        """Total tokens and seconds of `requests`."""
        costs = [self.costs[request] for request in dict.fromkeys(requests) if request in self.costs]
        return sum(tokens for tokens, _ in costs), sum(seconds for _, seconds in costs)


def answer(
    scores: Sequence[ScoreRequest],
    texts: Sequence[GenerateRequest],
    engine: Engine,
    store: ResponseStore,
    progress: Progress,
    others: frozenset[Request] = frozenset(),
    before: Callable[[], None] = lambda: None,
) -> Answers:
    """Answer distinct requests, scoring first. The engine is used only if an answer is missing.

    Another process answers the requests in `others`; they only affect the plan. `before` is called before the
    engine is used for a kind of request.

    Raises:
        StorageError: the disk is full or the store is damaged; earlier answers are kept.
    """
    answers = Answers()
    _answer_kind("scoring", scores, engine.score, engine, store, progress, answers, others, before)
    _answer_kind("generating", texts, engine.generate, engine, store, progress, answers, others, before)
    return answers


def answer_smoke_test(
    scores: Sequence[ScoreRequest], engine: Engine, store: ResponseStore, progress: Progress
) -> Answers:
    """As `answer`; a loaded model that cannot be scored at all gives failures, since it may generate."""
    answers = Answers()
    _answer_kind(SMOKE_TEST, scores, engine.score, engine, store, progress, answers)
    return answers


def stored_answers(requests: Sequence[R], engine: Engine, store: ResponseStore) -> dict[R, Response]:
    """The stored answers among those to `requests`."""
    keys = {request: request_key(request, engine.identity) for request in requests}
    stored = store.get(list(keys.values()))
    return {request: stored[key] for request, key in keys.items() if _is_finite(stored.get(key))}


def _answer_kind(
    name: str,
    requests: Sequence[R],
    work: Callable[..., Iterator[EngineEvent[R]]],
    engine: Engine,
    store: ResponseStore,
    progress: Progress,
    answers: Answers,
    others: frozenset[Request] = frozenset(),
    before: Callable[[], None] = lambda: None,
) -> None:
    refused = _outside_vocabulary(requests, engine)
    answers.by_request.update((request, why) for request, why in refused.items() if request not in others)
    # The plan omits them, too; every process omits the same requests.
    requests = [request for request in requests if request not in refused]
    keys = {request: request_key(request, engine.identity) for request in requests if request not in others}
    stored = store.get(list(keys.values()))
    known = {request: stored[key] for request, key in keys.items() if _is_finite(stored.get(key))}
    answers.by_request.update(known.items())
    answers.stored += stored
    if len(known) == len(keys):
        return
    before()
    progress.stage(Stage(name, at_most=name == "generating"))
    tokens: dict[Request, float] = {}
    planned, began = 0, time.monotonic()
    for event in _events(name, requests, work, engine, known.keys() | others if others else known.keys()):
        match event:
            case Planned():
                planned = event.tokens
                progress.advance(0, planned)
            case Begun():
                began = time.monotonic()
                progress.advance(0, planned)
            case Answered():
                _keep(event, keys, store, answers)
                tokens.update(tokens_by_request(event))
                progress.advance(event.tokens, planned)
    per_token = (time.monotonic() - began) / (sum(tokens.values()) or 1)
    answers.costs.update((request, (count, count * per_token)) for request, count in tokens.items())


def _keep(answered: Answered[R], keys: Mapping[R, bytes], store: ResponseStore, answers: Answers) -> None:
    """Store the answers to requests in `keys`; an engine may answer other requests, too."""
    received = [
        (request, _refused_unless_finite(response))
        for request, response in answered.answers
        if request in keys
    ]
    store.put((keys[request], response) for request, response in received)
    for request, response in received:
        # An answer from before an interruption wins, since the store keeps that one.
        answers.by_request.setdefault(request, response)


def _events(
    name: str,
    requests: Sequence[R],
    work: Callable[..., Iterator[EngineEvent[R]]],
    engine: Engine,
    answered: Collection[Request],
) -> Iterator[EngineEvent[R]]:
    """The engine's events. If a loaded model cannot generate, only the requests to generate fail; and only
    the smoke test, if it cannot be scored."""
    begun, done = False, set(answered)
    try:
        for event in work(requests, answered=answered):
            begun = begun or isinstance(event, Begun)
            if isinstance(event, Answered):
                done.update(request for request, _ in event.answers)
            yield event
    except ModelError as error:
        if name == "scoring" or not begun or engine.ends_on_error:
            raise
        left = [request for request in requests if request not in done]
        what = "no text was generated" if name == "generating" else "nothing was scored"
        yield Answered(tuple((request, Failure(f"{what}: {error}")) for request in left), 0)


def _outside_vocabulary(requests: Sequence[Request], engine: Engine) -> dict[Request, Failure]:
    """Requests with token ids outside the model's vocabulary, which would crash a CUDA context."""
    rows = engine.vocabulary
    if rows is None:
        return {}
    largest: dict[int, int] = {}
    refused: dict[Request, Failure] = {}
    for request in requests:
        ids = request.context
        if id(ids) not in largest:  # requests of one document share the object
            largest[id(ids)] = max(ids, default=0)
        token = max(largest[id(ids)], max(getattr(request, "continuation", ()), default=0))
        if token >= rows:
            refused[request] = Failure(
                f"the tokenizer gave token id {token} for {engine.tokenizer.token_text(token)!r}, but the "
                f"model's vocabulary has {rows} rows: the tokenizer belongs to another model, or tokens were "
                "added to it without resizing the embedding",
                of_model=True,
            )
    return refused


def tokens_by_request(answered: Answered[R]) -> dict[Request, float]:
    """Each answer's part of the tokens, by the size of its model input; requests with one input share it."""
    inputs = [_model_input(request) for request, _ in answered.answers]
    sharing = Counter(inputs)
    sizes = [len(ids) / sharing[ids] for ids in inputs]
    scale = answered.tokens / (sum(sizes) or 1)
    return {request: size * scale for (request, _), size in zip(answered.answers, sizes, strict=True)}


def _model_input(request: Request) -> TokenIds:
    if isinstance(request, ScoreRequest):
        return (request.context + request.continuation)[:-1]
    return request.context


def _is_finite(response: Response | None) -> bool:
    """Whether there is an answer with finite numbers only; stores of earlier versions may hold others."""
    return response is not None and not isinstance(_refused_unless_finite(response), Failure)


def _refused_unless_finite(response: Response) -> Response:
    """A Failure if a number is NaN, with which the first choice would always win, or is infinite."""
    if not isinstance(response, Score):
        return response
    values = (*response.log_probs, response.log_likelihood)
    not_finite = [value for value in values if not math.isfinite(value)]
    if not not_finite:
        return response
    if any(map(math.isnan, not_finite)):
        return Failure(
            "the model returned a log-probability of NaN; its data type may be too narrow (--dtype)",
            of_model=True,
        )
    return Failure(
        f"the model returned a log-probability of {not_finite[0]:+}; a token may be masked, or the data type "
        "may be too narrow (--dtype)",
        of_model=True,
    )
