"""The settings of the engine that asks a completions server, read from `--engine-arg NAME=VALUE`."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from evalsuite.errors import UserError
from evalsuite.visible import visible

KEY_VARIABLES = ("EVALSUITE_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's key; the first that is set counts."""

SETTINGS = frozenset({"base_url", "tokenizer", "weights", "max_length"})
TUNING = frozenset({"concurrency", "timeout", "retries", "patience"})

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Settings:
    """Where the server is and how it is asked."""

    base_url: str
    """Address under which `/models` and `/completions` are."""
    tokenizer: str = ""
    """Model whose tokenizer makes the token ids; without one the server gets text."""
    weights: str = ""
    """Name that the user vouches for the weights with, in place of the server's address."""
    max_length: int | None = None
    """Context window in tokens, where the server does not tell it."""
    concurrency: int = 8
    """Requests in flight."""
    timeout: float = 600.0
    """Seconds until the whole answer to a request is there."""
    retries: int = 5
    """How often a request is repeated that the server failed at or did not finish in time."""
    patience: float = 300.0
    """Seconds to wait for a server that is away or busy."""

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> "Settings":
        """From names and values as the user wrote them.

        Raises:
            UserError: no address, or a value that is none.
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
    """The address under which `/completions` is: that of a bare host gets `/v1`.

    Raises:
        UserError: not an http address, or one with a password, which would end in the run log.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that are no IPv6 address, or a port beyond 65535
        is_address = False
    if not is_address or not url.isprintable() or " " in url:
        raise UserError(f"--base-url takes an address such as http://localhost:8000, not '{visible(url)}'.")
    if parts.username or parts.password or parts.query:
        raise UserError(f"--base-url must hold no key or password: set {KEY_VARIABLES[0]} instead.")
    path = parts.path.rstrip("/").removesuffix("/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def api_key() -> str:
    """The server's key from the environment, without white space around it; empty if there is none.

    Raises:
        UserError: a character that no key has and no header can carry; the key itself is not told.
    """
    for name in KEY_VARIABLES:
        if key := os.environ.get(name, "").strip():
            if not (key.isascii() and key.isprintable() and " " not in key):
                raise UserError(
                    f"{name} is no key: it holds white space, a control character or one outside ASCII. Copy it again."
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
        raise UserError(f"--engine-arg {name} takes a number of at least {least}, not '{arguments[name]}'.")
    return value
