"""Connections to a server: proxies and trusted certificates.

Both come from the environment, as for curl: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`,
`SSL_CERT_FILE`, `SSL_CERT_DIR`.
"""

import os
import ssl
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from evalsuite.errors import UserError
from evalsuite.visible import visible

if TYPE_CHECKING:
    from httpx2 import AsyncClient

CONNECT_SECONDS = 10.0
SCHEMES = ("http", "https", "socks5", "socks5h")
"""Supported schemes of proxies."""


@dataclass(frozen=True)
class HttpProxy:
    """A proxy that the environment names for an address."""

    url: str

    @property
    def shown(self) -> str:
        """The proxy's address without user name and password."""
        parts = urlsplit(self.url)
        return visible(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")


def proxy_for(address: str) -> HttpProxy | None:
    """The proxy for requests to `address`, if any; raises UserError if its address is invalid."""
    parts = urlsplit(address)
    bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
    if bypass(parts.netloc) or bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies_environment()
    url = proxies.get(parts.scheme) or proxies.get("all")
    if not url:
        return None
    proxy = HttpProxy(url if "://" in url else f"http://{url}")
    try:
        address_parts = urlsplit(proxy.url)
        scheme, port = address_parts.scheme, address_parts.port
        is_valid = scheme in SCHEMES and bool(address_parts.hostname) and port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise UserError(
            f"The environment names a proxy for {address} that cannot be used: correct "
            f"{parts.scheme.upper()}_PROXY or ALL_PROXY (http://HOST:PORT or socks5://HOST:PORT), or name "
            "the host in NO_PROXY."
        )
    return proxy


def make_client(
    address: str, proxy: HttpProxy | None, *, key: str, timeout: float, connections: int
) -> "AsyncClient":
    """A client for requests to `address`.

    Args:
        address: the server's address.
        proxy: the result of `proxy_for`.
        key: the API key sent with every request; empty for none.
        timeout: seconds between two reads.
        connections: most connections at a time.

    Raises:
        UserError: certificates cannot be read, or the proxy needs a package.
    """
    import httpx2

    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    try:
        return httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS), pool=None),
            limits=httpx2.Limits(max_connections=connections),
            verify=_certificates() if address.startswith("https") else False,
            proxy=None if proxy is None else proxy.url,
            trust_env=False,
        )
    except ImportError:
        raise UserError(
            f"The proxy {proxy.shown if proxy else ''} needs the package socksio: pip install socksio; "
            "or name the server's host in NO_PROXY."
        ) from None
    except (ValueError, httpx2.InvalidURL):
        raise UserError(
            f"The proxy {proxy.shown if proxy else ''} that the environment names cannot be used."
        ) from None


def _certificates() -> ssl.SSLContext:
    """The trusted certificate authorities: from the environment, else the system's or the package's."""
    import httpx2

    try:
        if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
            return httpx2.create_ssl_context(trust_env=False)
        return ssl.create_default_context(
            cafile=os.environ.get("SSL_CERT_FILE") or None, capath=os.environ.get("SSL_CERT_DIR") or None
        )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        named = " ".join(
            f"{name}={visible(os.environ[name])}"
            for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")
            if os.environ.get(name)
        )
        raise UserError(
            f"The certificates of {named or 'this system'} cannot be read ({error}): "
            "correct the variable or unset it."
        ) from None
