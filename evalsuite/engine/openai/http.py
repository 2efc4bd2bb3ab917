"""Talks to a completions server: one request at a time per call, repeated where that can help.

What is repeated: a connection that is refused or drops, an answer that does not come in time, and status 408,
409, 425, 429 and 5xx. A server that is away or busy is waited for as long as `patience` allows; one that
fails at a request gets it `retries` times again. Every other answer is the server's word.
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
    """The server's word is no; the same request again would get the same answer."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(
            f"the server answered {status}: {message}" if message else f"the server answered {status}"
        )
        self.status = status
        self.message = message
        self.code = code

    @property
    def is_too_long(self) -> bool:
        """The prompt does not fit the context window."""
        words = f"{self.code} {self.message}".lower()
        return "context" in words and any(
            hint in words for hint in ("length", "size", "window", "exceed", "too long", "maximum")
        )


class Unanswered(Exception):
    """No answer after all that was tried; nothing is known about the model."""


class Unreachable(Unanswered):
    """The server is unreachable, or its certificate cannot be verified."""

    def __init__(self, reason: str, advice: str = "start the server, or correct --base-url") -> None:
        super().__init__(reason)
        self.advice = advice


@dataclass
class Trouble:
    """What went wrong with one request so far."""

    failures: int = 0
    """Times that the server took the request and did not answer it."""
    waits: int = 0
    since: float = 0.0
    """When this request's trouble began."""


@dataclass
class Server:
    """One server; to be used within one event loop."""

    settings: Settings
    repeated: Counter[str] = field(default_factory=Counter)
    """Requests sent again, by reason."""
    gone: str = ""
    """Why nothing is asked any more; empty while the server may answer."""

    def __post_init__(self) -> None:
        self._key = api_key()
        self._seen = 0.0
        proxy = proxy_for(self.settings.base_url)
        self._by = f" through the proxy {proxy.shown}" if proxy else ""
        """In sentences about an answer that may be the proxy's."""
        self._client = make_client(
            self.settings.base_url,
            proxy,
            key=self._key,
            timeout=self.settings.timeout,
            connections=self.settings.concurrency,
        )

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.aclose()

    async def get(self, path: str) -> Any:
        """The JSON at `path`; nobody is waited for. Raises Refused, Unanswered or Unreachable."""
        return await self._ask("GET", path, None, retries=1, wait_if_away=False)

    async def post(
        self, path: str, body: dict[str, Any], *, retries: int | None = None, wait_if_away: bool = True
    ) -> Any:
        """The JSON answer to `body`.

        Args:
            path: below the server's address.
            body: what is asked.
            retries: in place of the settings'.
            wait_if_away: whether a server that is away is waited for.

        Raises:
            Refused: by the server's word.
            Unanswered: the server failed at it again and again, or stayed away for too long.
            Unreachable: nobody is there and nobody is waited for.
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
        """Sleep before the next try; raises Unanswered where there is none."""
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
        asked = error.wait if isinstance(error, _TryAgain) else None
        backoff = min(LONGEST_WAIT, FIRST_WAIT * 2**trouble.waits) * random.uniform(0.5, 1.0)
        trouble.waits += 1
        if asked is not None:  # not all at once when the time is over
            backoff = min(max(asked, FIRST_WAIT), self.settings.patience) * random.uniform(1.0, 1.1)
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
        """The whole answer, within the time of one request."""
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
                    f"{url} shows no certificate that is trusted here{self._by} ({reason})",
                    "set SSL_CERT_FILE to the certificate of its authority, or correct --base-url",
                ) from None
            advice = "correct or unset the proxy's variable (NO_PROXY takes hosts to reach without it)"
            raise Unreachable(
                f"nobody answers at {url}{self._by} ({reason})", *([advice] if self._by else [])
            ) from None
        except (httpx2.TimeoutException, TimeoutError):
            raise _TryAgain(f"no whole answer within {self.settings.timeout:g} s{self._by}") from None
        except (httpx2.HTTPError, OSError, ValueError) as error:
            raise _TryAgain(f"the connection broke{self._by} ({type(error).__name__})") from None

    def _hidden(self, text: object) -> str:
        """The text without the key, which a server may repeat."""
        return str(text).replace(self._key, "(key)") if self._key else str(text)


class _TryAgain(Exception):
    def __init__(self, reason: str, *, busy: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.busy = busy
        self.wait = wait


def _retry_after(header: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for, a number or a date (RFC 9110, 10.2.3)."""
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
    """What a server says is wrong, in one line, and its code; every server has its own shape."""
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
