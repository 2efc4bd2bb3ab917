"""The engine that uses an OpenAI-compatible completions server (`--engine openai --base-url URL`)."""

import functools
import importlib.util
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from evalsuite.checkpoints import ModelFiles, tokenizer_digest
from evalsuite.engine.openai.answer import Completer
from evalsuite.engine.openai.connection import proxy_for
from evalsuite.engine.openai.http import Server, Unanswered
from evalsuite.engine.openai.models import identity_of, served_model, window_of
from evalsuite.engine.openai.probe import (
    FEW_STOPS,
    Abilities,
    honours_seeds,
    probe,
    stops_at_tokens,
    takes_many_stops,
    takes_stop_tokens,
)
from evalsuite.engine.openai.settings import SETTINGS, TUNING, Settings
from evalsuite.engine.openai.text import CharacterTokenizer
from evalsuite.engine.openai.wire import Reply, Wire
from evalsuite.engine.protocol import Answered, Begun, EngineDefaults, EngineEvent, Planned, R, Tokenizer
from evalsuite.engine.settings import EngineKind, EngineSpec
from evalsuite.engine.stops import special_in
from evalsuite.engine.token_options import MODELS_OWN, TokenOptions
from evalsuite.errors import ModelError, UserError
from evalsuite.types import Failure, GenerateRequest, ModelIdentity, Request, ScoreRequest, TokenIds

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

IN_A_PART = 64
LOOKS_SPECIAL = re.compile(r"<\|[^|\s]+\|>|<[/a-z_]+>")
"""How most vocabularies spell special tokens."""
NOT_SEEN = (
    "Stop strings {}: a special token does not end a text if the server omits it from its texts ({}); "
    "a text may continue after it."
)


class OpenAIEngine(EngineDefaults):
    """Answers requests through a server; see `protocol.Engine`.

    The constructor sends no request. With a tokenizer, requests are sent as token ids; without one they are
    sent as text, and only the server knows the tokens.

    Args:
        files: the name of the served model.
        arguments: settings by name; see `settings.Settings`.
        dtype, device, logits_dtype: determined by the server; any other value than the default is refused.
        trust_remote_code: let the tokenizer's folder run its own code.
        tokens: the tokenizer, prefix token and context window, if they are not among the settings.
        verify_weights: hash every byte of the tokenizer's files again.

    Raises:
        UserError: a setting is invalid.
    """

    def __init__(
        self,
        files: ModelFiles,
        *,
        arguments: dict[str, str],
        dtype: str = "auto",
        device: str = "auto",
        logits_dtype: str = "float32",
        trust_remote_code: bool = False,
        verify_weights: bool = False,
        tokens: TokenOptions = MODELS_OWN,
    ) -> None:
        if (dtype, device, logits_dtype) != ("auto", "auto", "float32"):
            raise UserError(
                "--engine openai takes no --device, --dtype or --logits-dtype: the server determines them."
            )
        self.settings, self._tokens = _with_tokens(Settings.of(arguments), tokens)
        self._name = files.name
        self._verify = verify_weights
        self._trust_remote_code = trust_remote_code
        self._repeated: Counter[str] = Counter()
        self._gone = ""
        self._added_notes: tuple[str, ...] = ()

    @functools.cached_property
    def _tokenizer_files(self) -> ModelFiles | None:
        return self._tokens.files(ModelFiles.elsewhere(self._name)) if self._tokens.tokenizer else None

    @functools.cached_property
    def _served(self) -> dict[str, Any]:
        """The server's description of the model."""
        with self._server() as (portal, server):
            return portal.call(served_model, server, self._name)

    @functools.cached_property
    def identity(self) -> ModelIdentity:
        """What the answers depend on, as far as the server reports it."""
        weights = identity_of(self._served, self.settings)
        files = self._tokenizer_files
        maker = self._served.get("owned_by")
        words = ["openai", *([str(maker).replace(" ", "-")] if maker else []), *([] if files else ["text"])]
        return ModelIdentity(
            weights=weights,
            tokenizer=tokenizer_digest(files, verify=self._verify) if files else weights,
            numerics=" ".join(words),
        )

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The given tokenizer, else one token per character."""
        if self._tokenizer_files is None:
            return CharacterTokenizer(lambda: bool(self._abilities.special_tokens))
        return self._tokens.make(self._tokenizer_files, trust_remote_code=self._trust_remote_code)

    @property
    def max_length(self) -> int | None:
        """Context window in tokens; None if it is unknown, or requests are sent as text."""
        return self._window if self._tokenizer_files else None

    @functools.cached_property
    def _window(self) -> int | None:
        return self.settings.max_length or window_of(self._served)

    @functools.cached_property
    def _abilities(self) -> Abilities:
        with self._server() as (portal, server):
            tokenizer = self.tokenizer if self._tokenizer_files else None
            try:
                return portal.call(probe, Completer(server, self._name), tokenizer)
            except Unanswered as error:
                raise ModelError(
                    f"The server at {self.settings.base_url} stopped answering: {error}."
                ) from None

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the run log; complete once the requests are answered."""
        abilities = self.__dict__.get("_abilities")
        proxy = proxy_for(self.settings.base_url)
        by = f" through the proxy {proxy.shown}" if proxy else ""
        notes = [f"Answered by {self.settings.base_url}{by}, whose weights cannot be verified."]
        if not self._tokenizer_files:
            notes.append("Requests were sent as text; their tokens are counted in characters.")
        if abilities is not None:
            notes += abilities.notes
            if abilities.why_no_scores:
                notes.append(f"The server cannot score: {abilities.why_no_scores}.")
        notes += [f"Sent again {count} times: {reason}." for reason, count in self._repeated.most_common(5)]
        return (*notes, *self._added_notes)

    @property
    def vocabulary(self) -> int | None:
        """None: only the server knows it."""
        return None

    def load(self) -> None:
        """Probe what the server can do; raises ModelError if it does not answer."""
        _ = self._abilities

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """Score the distinct `requests`; if the server cannot score, each gets a Failure with the reason.

        Raises:
            ModelError: the server is unreachable, or it does not complete text.
        """
        left = [request for request in requests if request not in answered]
        reason = self._abilities.why_no_scores if left else ""
        if reason:
            refused = Failure(f"the server cannot score: {reason}")
            yield Planned(0)
            yield Answered(tuple((request, refused) for request in left), 0)
            return
        yield from self._answers(left)

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """Generate texts for the distinct `requests`; errors are as in `score`."""
        left = [request for request in requests if request not in answered]
        yield from self._answers(left)

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """Requests sorted by context and cut into parts, so that neighbours share prefixes."""
        ordered = sorted(requests, key=_ids)
        return [tuple(ordered[start : start + IN_A_PART]) for start in range(0, len(ordered), IN_A_PART)]

    def _answers(self, requests: Sequence[R]) -> Iterator[EngineEvent[R]]:
        """Answers as they arrive; requests are sent sorted, so that common prefixes are adjacent."""
        weights = {request: _weight(request) for request in requests}
        total, done, tokens = sum(weights.values()), 0, 0
        yield Planned(total)
        if not requests:
            return
        abilities = self._abilities
        with self._server(self._repeated) as (portal, server):
            wire = self._wire(portal, server, abilities, requests)
            yield Begun()
            for pairs in self._in_flight(portal, wire, sorted(requests, key=_ids)):
                done += sum(weights[request] for request, _ in pairs)
                cost = sum(answer.tokens for _, answer in pairs)
                tokens += cost
                answers = tuple((request, answer.response) for request, answer in pairs)
                yield Planned(round(tokens * total / done))
                yield Answered(answers, cost)

    def _in_flight(
        self, portal: "BlockingPortal", wire: Wire, requests: Sequence[R]
    ) -> Iterator[list[tuple[R, Reply]]]:
        """Groups of answers that arrived together, while as many requests as allowed are in flight."""
        waiting = iter(requests)
        running: dict[Future[Reply], R] = {}
        while True:
            for request in islice(waiting, self.settings.concurrency - len(running)):
                running[portal.start_task_soon(wire.answer, request)] = request
            if not running:
                return
            ready, _ = wait(running, return_when=FIRST_COMPLETED)
            yield [(running.pop(future), future.result()) for future in ready]

    def _wire(
        self, portal: "BlockingPortal", server: Server, abilities: Abilities, requests: Sequence[R]
    ) -> Wire:
        """The `Wire` to the server, after probing the abilities that only these requests need."""
        completer = Completer(server, self._name, abilities.neutral)
        by_text = self._tokenizer_files is None
        wire = Wire(completer, abilities, self.tokenizer, by_text, self._window)
        if any(_is_sampled(request) for request in requests) and not portal.call(honours_seeds, completer):
            self._add_note("The server does not honour seeds: sampled texts are not reproducible.")
        if any(len(_stops(request)) > FEW_STOPS for request in requests) and not portal.call(
            takes_many_stops, completer
        ):
            self._add_note(
                f"The server takes at most {FEW_STOPS} stop strings; texts were cut at the others afterwards."
            )
            wire = replace(wire, many_stops=False)
        if special := self._special_stops(requests):
            wire = self._stopping_at(special, portal, wire)
        return wire

    def _special_stops(self, requests: Sequence[R]) -> tuple[str, ...]:
        """Stop strings that contain a special token; without a tokenizer, those that look like one."""
        stops = dict.fromkeys(stop for request in requests for stop in _stops(request))
        if self._tokenizer_files is None:
            return tuple(stop for stop in stops if LOOKS_SPECIAL.search(stop))
        special = self.tokenizer.special_texts
        return tuple(stop for stop in stops if special_in((stop,), special))

    def _stopping_at(self, special: Sequence[str], portal: "BlockingPortal", wire: Wire) -> Wire:
        """The wire with stop token ids, if the server supports them; adds a note if that is uncertain."""
        shown = ", ".join(map(repr, special))
        if self._tokenizer_files is None:
            self._add_note(NOT_SEEN.format(shown, "without --tokenizer its tokens are not known"))
            return wire
        takes = portal.call(takes_stop_tokens, wire.completer)
        if not takes or not portal.call(stops_at_tokens, wire.completer, self.tokenizer):
            self._add_note(NOT_SEEN.format(shown, "the server was not seen to heed `stop_token_ids`"))
        elif longer := [stop for stop in special if stop not in self.tokenizer.special_texts.values()]:
            shown = ", ".join(map(repr, longer))
            self._add_note(NOT_SEEN.format(shown, "only stop strings that are one token are sent as ids"))
        return replace(wire, stop_ids=takes)

    def _add_note(self, note: str) -> None:
        self._added_notes = tuple(dict.fromkeys((*self._added_notes, note)))

    @contextmanager
    def _server(self, counted: Counter[str] | None = None) -> Iterator[tuple["BlockingPortal", Server]]:
        """The server, and the portal to the event loop, in its own thread, that talks to it.

        `counted` counts repeated requests by reason.
        """
        from anyio.from_thread import start_blocking_portal

        with start_blocking_portal() as portal:
            server = Server(self.settings, Counter() if counted is None else counted, self._gone)
            yield portal, server
            portal.call(server.close)
            self._gone = server.gone


def _with_tokens(settings: Settings, tokens: TokenOptions) -> tuple[Settings, TokenOptions]:
    """Merge the tokenizer and context window of both into both.

    Raises:
        UserError: both name the same, or an option needs a tokenizer that is not given.
    """
    for name in ("tokenizer", "max_length"):
        if getattr(settings, name) and getattr(tokens, name):
            option = "--" + name.replace("_", "-")
            raise UserError(f"Give either {option} or --engine-arg {name}, not both.")
    settings = replace(
        settings,
        tokenizer=settings.tokenizer or tokens.tokenizer or "",
        max_length=settings.max_length or tokens.max_length,
    )
    if not settings.tokenizer and (tokens.prefix_token or tokens.max_length):
        raise UserError(
            "--engine openai counts no tokens by itself: --prefix-token and --max-length need --tokenizer."
        )
    return settings, replace(tokens, tokenizer=settings.tokenizer or None)


def _ids(request: Request) -> tuple[TokenIds, TokenIds]:
    return request.context, request.continuation if isinstance(request, ScoreRequest) else (request.sample,)


def _weight(request: Request) -> int:
    more = len(request.continuation) if isinstance(request, ScoreRequest) else request.max_tokens
    return len(request.context) + more


def _is_sampled(request: Request) -> bool:
    return isinstance(request, GenerateRequest) and request.temperature > 0


def _stops(request: Request) -> tuple[str, ...]:
    return request.stop if isinstance(request, GenerateRequest) else ()


def _make(spec: EngineSpec) -> OpenAIEngine:
    if not all(importlib.util.find_spec(name) for name in ("anyio", "httpx2")):
        raise UserError(
            "--engine openai needs the packages anyio and httpx2: pip install 'evalsuite[openai]'."
        )
    return OpenAIEngine(spec.files, **spec.options)


KIND = EngineKind(_make, SETTINGS, TUNING, needs_files=False)
