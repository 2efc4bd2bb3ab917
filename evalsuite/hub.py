"""Is the model and data hub there? Asked once per process, and answered within seconds."""

import functools
import os
import sys
import urllib.error
import urllib.request

TIMEOUT = 3.0
"""Seconds; the hub's client libraries would retry for minutes."""
DEFAULT_ENDPOINT = "https://huggingface.co"


def asked_to_stay_offline() -> bool:
    """Whether the user set `HF_HUB_OFFLINE`."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


@functools.cache
def hub_problem() -> str:
    """Why the hub cannot be reached, in a few words; empty if it answered."""
    if asked_to_stay_offline():
        return "HF_HUB_OFFLINE is set"
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT_ENDPOINT
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=TIMEOUT).close()
    except urllib.error.HTTPError as error:
        # Anything below 500 comes from a server that speaks for the hub.
        return f"{endpoint} answered {error.code}" if error.code >= 500 or error.code == 407 else ""
    except (OSError, ValueError) as error:
        return f"{endpoint} does not answer: {getattr(error, 'reason', error)}"
    return ""


def hub_reachable() -> bool:
    """Whether the hub answers; probed once per process, not at all under `HF_HUB_OFFLINE`."""
    return not hub_problem()


def go_offline() -> None:
    """Tell the hub's libraries, loaded or yet to be loaded, to use their local caches only."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    for module, flag in (
        ("huggingface_hub.constants", "HF_HUB_OFFLINE"),
        ("datasets.config", "HF_HUB_OFFLINE"),
        ("datasets.config", "HF_DATASETS_OFFLINE"),
    ):
        if module in sys.modules:
            setattr(sys.modules[module], flag, True)
