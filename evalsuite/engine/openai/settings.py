"""The settings of the engine for completions servers, given as `--engine-arg NAME=VALUE`."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from evalsuite.errors import UserError
from evalsuite.visible import visible

KEY_VARIABLES = ("EVALSUITE_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's key; the first that is set is used."""

SETTINGS = frozenset({"base_url", "tokenizer", "weights", "max_length"})
TUNING = frozenset({"concurrency", "timeout", "retries", "patience"})

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Settings:
    """The server's address, and how requests are sent."""

    base_url: str
    """Address of `/models` and `/completions`."""
    tokenizer: str = ""
    """Model whose tokenizer makes the token ids; if empty, the server gets text."""
    weights: str = ""
    """The user's own name for the weights, which identifies them instead of the server's address."""
    max_length: int | None = None
    """Context window in tokens, if the server does not report it."""
    concurrency: int = 8
    """Most requests in flight."""
    timeout: float = 600.0
    """Seconds until the whole answer to a request must have arrived."""
    retries: int = 5
    """How often a request is repeated after the server failed or did not finish in time."""
    patience: float = 300.0
    """Seconds to wait for an unreachable or busy server."""

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> "Settings":
        """Parse the user's settings.

        Raises:
            UserError: the address is missing, or a value is invalid.
        """
        if not arguments.get("base_url"):
            raise UserError("--engine openai needs the server's address: --base-url http://HOST:PORT.")
        return cls(
            base_url=api_address(arguments["base_url"]),
            tokenizer=arguments.get("tokenizer", ""),
            weights=arguments.get("weights", ""),
            max_length=_number(arguments, "max_length", int) if "max_length" in arguments else None,
            concurrency=_number(arguments, "concurrency", int, cls.concurrency),
            timeout=_number(arguments, "timeout", float, cls.timeout),
            retries=_number(arguments, "retries", int, cls.retries, least=0),
            patience=_number(arguments, "patience", float, cls.patience, least=0),
        )


def api_address(url: str) -> str:
    """The address of `/completions`; a bare host gets `/v1`.

    Raises:
        UserError: not an http address, or one with a password, which the run log would contain.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an IPv6 address, or a port above 65535
        is_address = False
    if not is_address or not url.isprintable() or " " in url:
        raise UserError(f"--base-url takes an address such as http://localhost:8000, got '{visible(url)}'.")
    if parts.username or parts.password or parts.query:
        raise UserError(f"--base-url must contain no key or password: set {KEY_VARIABLES[0]} instead.")
    path = parts.path.rstrip("/").removesuffix("/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def api_key() -> str:
    """The server's key from the environment, without surrounding white space; empty if there is none.

    Raises:
        UserError: the key has a character that no HTTP header can carry; the message does not show the key.
    """
    for name in KEY_VARIABLES:
        if key := os.environ.get(name, "").strip():
            if not (key.isascii() and key.isprintable() and " " not in key):
                raise UserError(
                    f"{name} is no valid key: it contains white space, a control character or a character "
                    "outside ASCII. Copy it again."
                )
            return key
    return ""


def _number(
    arguments: Mapping[str, str],
    name: str,
    kind: Callable[[str], N],
    default: N | None = None,
    least: int = 1,
) -> N:
    if name not in arguments and default is not None:
        return default
    try:
        value = kind(arguments[name])
    except ValueError:
        value = None
    if value is None or not value >= least:
        raise UserError(f"--engine-arg {name} takes a number of at least {least}, got '{arguments[name]}'.")
    return value
