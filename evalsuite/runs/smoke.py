"""The smoke test of a model before its first task: bits per byte of an English passage and of a program.

Both texts are ours (`smoke_english.txt`, `smoke_program.txt`); bits per byte do not depend on the tokenizer.
A wrong export (matrices exchanged, norms off by one, another tokenizer) often has the right shapes, and is
seen here, before hours are spent on tasks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from evalsuite.engine.protocol import Engine, Tokenizer
from evalsuite.progress import Progress
from evalsuite.requests.rolling import encode_rolling
from evalsuite.results.smoke import SmokeRecord, smoke_warning
from evalsuite.results.store import ResponseStore
from evalsuite.runs.answering import answer_smoke_test, stored_answers
from evalsuite.types import Failure, Response, Score, ScoreRequest

TEXTS = ("english", "program")


@dataclass(frozen=True)
class SmokeTest:
    """The requests of the smoke test for one tokenizer and window."""

    requests: Mapping[str, Sequence[ScoreRequest]]
    """By name of the text."""
    problem: str = ""
    """Why a text cannot be encoded; there are no requests then."""

    @classmethod
    def of(cls, tokenizer: Tokenizer, window: int | None) -> "SmokeTest":
        """Encode both texts; every token is scored once, the first one after the prefix token."""
        try:
            encoded = encode_rolling(tokenizer, [text_of(name) for name in TEXTS], "never", window)
        except ValueError as error:
            return cls({}, str(error))
        requests = {}
        for name, windows in zip(TEXTS, encoded, strict=True):
            if isinstance(windows, str):
                return cls({}, windows)
            requests[name] = [pair.request for pair in windows]
        return cls(requests)

    @property
    def distinct(self) -> list[ScoreRequest]:
        """All requests, each once."""
        return list(dict.fromkeys(request for windows in self.requests.values() for request in windows))

    @property
    def tokens(self) -> int:
        """Tokens to compute."""
        return sum(len(request.context) + len(request.continuation) - 1 for request in self.distinct)

    def judged(self, answers: Mapping[ScoreRequest, Response]) -> SmokeRecord:
        """What the answers to all requests say of the model."""
        if not self.requests:
            return SmokeRecord(passed=None, problem=self.problem)
        failures = [answer for answer in answers.values() if isinstance(answer, Failure)]
        if failures:
            worst = next((failure for failure in failures if failure.of_model), failures[0])
            return SmokeRecord(passed=False if worst.of_model else None, problem=worst.reason)
        return SmokeRecord.of(**{name: self._bits_per_byte(name, answers) for name in TEXTS})

    def _bits_per_byte(self, name: str, answers: Mapping[ScoreRequest, Response]) -> float:
        scores = [answers[request] for request in self.requests[name]]
        nats = -sum(score.log_likelihood for score in scores if isinstance(score, Score))
        return nats / math.log(2) / len(text_of(name).encode())


class SmokeSession:
    """The smoke test within a run: answered once, from the store if it can be, and before anything else.

    Args:
        engine: the engine of the run.
        store: the run's answers.
        progress: hears of a failure at once.
    """

    def __init__(self, engine: Engine, store: ResponseStore, progress: Progress) -> None:
        self._engine, self._store, self._progress = engine, store, progress
        self._test = SmokeTest.of(engine.tokenizer, engine.max_length)
        self.record: SmokeRecord | None = None
        """None until it is known."""
        stored = stored_answers(self._test.distinct, engine, store)
        if stored and len(stored) == len(self._test.distinct):
            self._know(stored)

    def compute(self) -> None:
        """Answer the requests, unless they are answered; called before the engine answers others."""
        if self.record is None:
            found = answer_smoke_test(self._test.distinct, self._engine, self._store, self._progress)
            self._know({request: found.by_request[request] for request in self._test.distinct})

    def _know(self, answers: Mapping[ScoreRequest, Response]) -> None:
        self.record = self._test.judged(answers)
        if sentence := smoke_warning(self.record):
            self._progress.warn(sentence)


def text_of(name: str) -> str:
    """One of the texts."""
    return files("evalsuite.runs").joinpath(f"smoke_{name}.txt").read_text(encoding="utf-8")
