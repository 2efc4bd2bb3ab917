"""Gets every request answered: from the store, else from the engine, and then stored at once."""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evalsuite.engine.protocol import Answered, Begun, Engine, EngineEvent, Planned
from evalsuite.errors import ModelError
from evalsuite.progress import Progress, Stage
from evalsuite.results.store import ResponseStore, request_key
from evalsuite.types import Failure, GenerateRequest, Request, Response, Score, ScoreRequest, TokenIds


@dataclass
class Answers:
    """The answers of a run and what they cost in this session."""

    by_request: dict[Request, Response] = field(default_factory=dict)
    costs: dict[Request, tuple[float, float]] = field(default_factory=dict)
    """(tokens, seconds) of each request that this session answered."""
    stored: list[bytes] = field(default_factory=list)
    """Keys of the answers that were there before."""

    def cost(self, requests: Iterable[Request]) -> tuple[float, float]:
        """Tokens and seconds of `requests` together."""
        costs = [self.costs[request] for request in dict.fromkeys(requests) if request in self.costs]
        return sum(tokens for tokens, _ in costs), sum(seconds for _, seconds in costs)


def answer(
    scores: Sequence[ScoreRequest],
    texts: Sequence[GenerateRequest],
    engine: Engine,
    store: ResponseStore,
    progress: Progress,
    others: frozenset[Request] = frozenset(),
) -> Answers:
    """Answer distinct requests; scoring first. The engine is not touched where nothing is missing.

    Requests in `others` are another process's to answer; they only shape the plan.

    Raises:
        StorageError: the disk is full or the store damaged; answers stored before are kept.
    """
    answers = Answers()
    _answer_kind("scoring", scores, engine.score, engine, store, progress, answers, others)
    _answer_kind("generating", texts, engine.generate, engine, store, progress, answers, others)
    return answers


def _answer_kind(
    name: str,
    requests: Sequence[Request],
    work: Callable[..., Iterator[EngineEvent]],
    engine: Engine,
    store: ResponseStore,
    progress: Progress,
    answers: Answers,
    others: frozenset[Request],
) -> None:
    strange = _outside_vocabulary(requests, engine)
    answers.by_request.update((one, failure) for one, failure in strange.items() if one not in others)
    # They have no place in the plan, either: every process leaves out the same ones.
    requests = [request for request in requests if request not in strange]
    keys = {request: request_key(request, engine.identity) for request in requests if request not in others}
    stored = store.get(list(keys.values()))
    known = {request: stored[key] for request, key in keys.items() if _is_finite(stored.get(key))}
    answers.by_request.update(known)
    answers.stored += stored
    if len(known) == len(keys):
        return
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
    a_token = (time.monotonic() - began) / (sum(tokens.values()) or 1)
    answers.costs.update((request, (count, count * a_token)) for request, count in tokens.items())


def _keep(answered: Answered, keys: Mapping[Request, bytes], store: ResponseStore, answers: Answers) -> None:
    """Store what was asked for; an engine may answer others beside it."""
    received = [
        (request, _refused_unless_finite(response))
        for request, response in answered.answers
        if request in keys
    ]
    store.put((keys[request], response) for request, response in received)
    for request, response in received:
        # An answer from before the interruption stays: it is what the store keeps.
        answers.by_request.setdefault(request, response)


def _events(
    name: str,
    requests: Sequence[Request],
    work: Callable[..., Iterator[EngineEvent]],
    engine: Engine,
    answered: Collection[Request],
) -> Iterator[EngineEvent]:
    """What the engine yields. A model that is loaded and cannot generate costs the tasks that generate, not
    the others."""
    begun, done = False, set(answered)
    try:
        for event in work(requests, answered=answered):
            begun = begun or isinstance(event, Begun)
            if isinstance(event, Answered):
                done.update(request for request, _ in event.answers)
            yield event
    except ModelError as error:
        if name != "generating" or not begun or engine.ends_on_error:
            raise
        left = [request for request in requests if request not in done]
        yield Answered(tuple((request, Failure(f"no text was generated: {error}")) for request in left), 0)


def _outside_vocabulary(requests: Sequence[Request], engine: Engine) -> dict[Request, Failure]:
    """Requests with token ids for which the model has no row; on a GPU they would end the process's use of
    it."""
    rows = engine.vocabulary
    if rows is None:
        return {}
    largest: dict[int, int] = {}
    found: dict[Request, Failure] = {}
    for request in requests:
        ids = request.context
        if id(ids) not in largest:  # requests of one document share the object
            largest[id(ids)] = max(ids, default=0)
        token = max(largest[id(ids)], max(getattr(request, "continuation", ()), default=0))
        if token >= rows:
            found[request] = Failure(
                f"the model has {rows} rows in its vocabulary, and the tokenizer gave {token} for "
                f"{engine.tokenizer.token_text(token)!r}: the tokenizer is another model's, or tokens were added without "
                "room for them"
            )
    return found


def tokens_by_request(answered: Answered) -> dict[Request, float]:
    """The tokens of each answer, by the size of the model inputs; requests of one input share its tokens."""
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
    """Whether there is an answer, with numbers alone; stores of earlier versions may hold others."""
    return response is not None and not isinstance(_refused_unless_finite(response), Failure)


def _refused_unless_finite(response: Response) -> Response:
    """NaN compares as neither more nor less, so that the first choice would win every question; infinity ends
    means."""
    if not isinstance(response, Score):
        return response
    strange = [one for one in (*response.log_probs, response.log_likelihood) if not math.isfinite(one)]
    if not strange:
        return response
    if any(map(math.isnan, strange)):
        return Failure("the model gave NaN as a log-probability; its data type may be too narrow (--dtype)")
    return Failure(
        f"the model gave {strange[0]:+} as a log-probability; a token may be masked, or the data type too narrow (--dtype)"
    )
