"""Checks whether the model and data hub is reachable: once per process, within seconds."""

import functools
import os
import queue
import ssl
import threading
import urllib.error
import urllib.request

PROBE_SECONDS = 3.0
"""Time limit for an answer; the hub's client libraries would retry for minutes."""
DEFAULT_ENDPOINT = "https://huggingface.co"


def why_unreachable(*switches: str) -> str | None:
    """Why the hub is unreachable, in a few words; None if it is reachable.

    Args:
        switches: environment variables that put the caller offline, besides HF_HUB_OFFLINE.
    """
    for name in ("HF_HUB_OFFLINE", *switches):
        if os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}:
            return f"{name} is set"
    return _why_silent((os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/"))


@functools.cache
def _why_silent(endpoint: str) -> str | None:
    """Why `endpoint` does not answer, or None if it does; waits `PROBE_SECONDS` at most."""
    # In a thread, because urllib's time limits do not cover the DNS lookup.
    answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=lambda: answer.put(_knock(endpoint)), daemon=True).start()
    try:
        reason = answer.get(timeout=PROBE_SECONDS)
    except queue.Empty:
        reason = f"no answer in {PROBE_SECONDS:g} seconds"
    return reason and f"{endpoint} does not answer: {reason}"


def _knock(endpoint: str) -> str | None:
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError as error:
        # A refusal is an answer; an error of a proxy or gateway is not.
        return f"HTTP {error.code}" if error.code >= 500 or error.code == 407 else None
    except urllib.error.URLError as error:
        # The client library may be configured to trust a certificate that urllib does not trust.
        return None if isinstance(error.reason, ssl.SSLError) else str(error.reason)
    except (OSError, ValueError) as error:
        return str(error)
    return None
