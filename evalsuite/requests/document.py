"""The requests of one document, and the distinct requests of several."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalsuite.types import GenerateRequest, Prompt, Request, ScoreRequest


@dataclass(frozen=True, slots=True)
class DocumentRequests:
    """The requests of one document."""

    prompt: Prompt
    shots: int
    """Number of shots in the prompt."""
    requests: tuple[Request, ...]
    """Requests in the order of continuations or samples; empty if there is a problem or it is too long."""
    tokens: int
    """Number of tokens of the longest request."""
    joined: bool = False
    """Whether a token spans a context and its continuation."""
    realigned: bool = False
    """Whether the choices are therefore scored from their last common token boundary."""
    scores_bos: bool = False
    """Whether a BOS token is among the scored tokens."""
    shortened: bool = False
    """Whether the beginning of the prompt was cut, to leave space for the answer."""
    token_bytes: tuple[int, ...] = ()
    """Bytes of each scored token of a held-out text."""
    altered: bool = False
    """Whether the tokens of a held-out text decode to another text."""
    window: int | None = None
    """Context window in tokens, on which the windows of a held-out text depend."""
    problem: str = ""
    """Reason why there are no requests (an empty choice, for example); the document fails."""

    def without_tokens(self) -> "DocumentRequests":
        """The same, except that each request of a held-out text is an empty one, which needs no memory."""
        if self.prompt.join != "rolling":
            return self
        return replace(self, requests=(ScoreRequest((), ()),) * len(self.requests), token_bytes=())

    @property
    def too_long(self) -> bool:
        """Whether the document does not fit the context window."""
        return not (self.requests or self.problem)


def score_requests(asked: Sequence[DocumentRequests]) -> list[ScoreRequest]:
    """The distinct scoring requests, in order."""
    return list(
        dict.fromkeys(r for document in asked for r in document.requests if isinstance(r, ScoreRequest))
    )


def generate_requests(asked: Sequence[DocumentRequests]) -> list[GenerateRequest]:
    """The distinct generation requests, in order."""
    requests = (request for document in asked for request in document.requests)
    return list(dict.fromkeys(request for request in requests if isinstance(request, GenerateRequest)))
