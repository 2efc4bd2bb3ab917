"""Sends requests to a completions server, and repeats them where that can help.

A request is repeated after a refused or dropped connection, a timeout, and status 408, 409, 425, 429 and 5xx.
For an unreachable or busy server, the client waits up to `patience` seconds; a request at which the server
fails is repeated up to `retries` times. Every other answer is final.
"""

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from evalsuite.engine.openai.connection import make_client, proxy_for
from evalsuite.engine.openai.settings import Settings, api_key
from evalsuite.files.foreign_json import read_json

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
BUSY = frozenset({429, 503})
FAILED = frozenset({408, 409, 425})


class Refused(Exception):
    """The server refuses the request; repeating it would give the same answer."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(
            f"the server answered {status}: {message}" if message else f"the server answered {status}"
        )
        self.status = status
        self.message = message
        self.code = code

    @property
    def is_too_long(self) -> bool:
        """Whether the prompt does not fit into the context window."""
        words = f"{self.code} {self.message}".lower()
        return "context" in words and any(
            hint in words for hint in ("length", "size", "window", "exceed", "too long", "maximum")
        )


class Unanswered(Exception):
    """No answer after all retries; that says nothing about the model."""


class Unreachable(Unanswered):
    """The server is unreachable, or its certificate cannot be verified."""

    def __init__(self, reason: str, advice: str = "start the server, or correct --base-url") -> None:
        super().__init__(reason)
        self.advice = advice


@dataclass
class Trouble:
    """The failures of one request so far."""

    failures: int = 0
    """How often the server accepted the request and did not answer it."""
    waits: int = 0
    since: float = 0.0
    """Time of the request's first failure."""


@dataclass
class Server:
    """A server, for use within one event loop."""

    settings: Settings
    repeated: Counter[str] = field(default_factory=Counter)
    """Number of repeated requests, by reason."""
    gone: str = ""
    """Why no more requests are sent; empty while the server may answer."""

    def __post_init__(self) -> None:
        self._key = api_key()
        self._seen = 0.0
        proxy = proxy_for(self.settings.base_url)
        self._by = f" through the proxy {proxy.shown}" if proxy else ""
        """Part of messages about answers that may come from the proxy."""
        self._client = make_client(
            self.settings.base_url,
            proxy,
            key=self._key,
            timeout=self.settings.timeout,
            connections=self.settings.concurrency,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(self, path: str) -> Any:
        """The JSON at `path`; does not wait for the server. Raises Refused, Unanswered or Unreachable."""
        return await self._ask("GET", path, None, retries=1, wait_if_away=False)

    async def post(
        self, path: str, body: dict[str, Any], *, retries: int | None = None, wait_if_away: bool = True
    ) -> Any:
        """The JSON answer to `body`.

        Args:
            path: path below the server's address.
            body: the request's JSON.
            retries: replaces the setting of the same name.
            wait_if_away: whether to wait for an unreachable server.

        Raises:
            Refused: the server refuses the request.
            Unanswered: the server failed repeatedly, or stayed unreachable or busy for too long.
            Unreachable: the server is unreachable, and `wait_if_away` is False.
        """
        return await self._ask(
            "POST", path, body, self.settings.retries if retries is None else retries, wait_if_away
        )

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None, retries: int, wait_if_away: bool
    ) -> Any:
        trouble = Trouble()
        while not self.gone:
            try:
                answer = await self._once(method, path, body)
            except Unreachable as error:
                if not wait_if_away:
                    raise
                await self._wait(error, trouble, retries)
            except _TryAgain as error:
                await self._wait(error, trouble, retries)
            else:
                self._seen = time.monotonic()
                return answer
        raise Unanswered(self.gone)

    async def _wait(self, error: "_TryAgain | Unreachable", trouble: Trouble, retries: int) -> None:
        """Sleep before the next attempt; raises Unanswered if there is none left."""
        now = time.monotonic()
        trouble.since = trouble.since or now
        away = isinstance(error, Unreachable)
        waited = now - (max(self._seen, trouble.since) if away else trouble.since)
        if away or (isinstance(error, _TryAgain) and error.busy):
            if waited >= self.settings.patience:
                reason = f"{error}; waited {waited:.0f} s for it"
                self.gone = reason if away else self.gone
                raise Unanswered(reason)
        else:
            trouble.failures += 1
            if trouble.failures > retries:
                raise Unanswered(f"{error}; tried {trouble.failures} times")
        self.repeated[str(error)] += 1
        retry_after = error.wait if isinstance(error, _TryAgain) else None
        backoff = min(LONGEST_WAIT, FIRST_WAIT * 2**trouble.waits) * random.uniform(0.5, 1.0)
        trouble.waits += 1
        if retry_after is not None:  # with jitter, so that requests do not all retry at the same time
            backoff = min(max(retry_after, FIRST_WAIT), self.settings.patience) * random.uniform(1.0, 1.1)
        await asyncio.sleep(backoff)

    async def _once(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        response = await self._response(method, path, None if body is None else json.dumps(body))
        status = response.status_code
        if status in BUSY or status in FAILED or status >= 500:
            message = self._hidden(_message(response.content)[0])
            text = f"the server answered {status}{self._by}" + (
                f": {message}" if message and status not in BUSY else ""
            )
            raise _TryAgain(text, busy=status in BUSY, wait=_retry_after(response.headers.get("retry-after")))
        if status >= 300:
            message, code = _message(response.content)
            raise Refused(status, self._hidden(message), code)
        try:
            return read_json(response.content)
        except (ValueError, RecursionError):
            raise Refused(status, "but not in JSON") from None

    async def _response(self, method: str, path: str, content: str | None) -> Any:
        """The whole answer, within the time limit of one request."""
        import anyio
        import httpx2

        url = self.settings.base_url
        try:
            with anyio.fail_after(self.settings.timeout):
                return await self._client.request(method, url + path, content=content)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            reason = self._hidden(error) or type(error).__name__
            if "CERTIFICATE_VERIFY_FAILED" in reason:
                raise Unreachable(
                    f"the certificate of {url} is not trusted here{self._by} ({reason})",
                    "set SSL_CERT_FILE to the certificate of its authority, or correct --base-url",
                ) from None
            advice = "correct or unset the proxy's variable (NO_PROXY takes hosts to reach without it)"
            raise Unreachable(
                f"the server at {url} is unreachable{self._by} ({reason})", *([advice] if self._by else [])
            ) from None
        except (httpx2.TimeoutException, TimeoutError):
            raise _TryAgain(f"no whole answer within {self.settings.timeout:g} s{self._by}") from None
        except (httpx2.HTTPError, OSError, ValueError) as error:
            raise _TryAgain(f"the connection broke{self._by} ({type(error).__name__})") from None

    def _hidden(self, text: object) -> str:
        """The text without the API key, which a server may repeat."""
        return str(text).replace(self._key, "(key)") if self._key else str(text)


class _TryAgain(Exception):
    def __init__(self, reason: str, *, busy: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.busy = busy
        self.wait = wait


def _retry_after(header: str | None) -> float | None:
    """Seconds until the time in a `Retry-After` header, a number or a date (RFC 9110, 10.2.3)."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _message(content: bytes) -> tuple[str, str]:
    """The message of an error answer, in one line, and its code; servers differ in the JSON's shape."""
    try:
        body = read_json(content)
    except (ValueError, RecursionError):
        return "", ""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        text = error.get("message") or error.get("detail") or ""
        code = f"{error.get('code') or ''} {error.get('type') or ''}".strip()
    else:
        text, code = error, ""
    return " ".join(str(text).split())[:200], code
