"""Stands between a client and a real server and lets things go wrong, as networks and balancers do."""

import contextlib
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FaultyProxy:
    """Forwards to `target`; `fault` says what happens to the n-th POST: slow, drop, 429, 500, or nothing."""

    def __init__(self, target: str, fault: Callable[[int], str | None]) -> None:
        self.target = target
        self.fault = fault
        self.posts = 0
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> "FaultyProxy":
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def next_fault(self) -> str | None:
        with self._lock:
            self.posts += 1
            return self.fault(self.posts - 1)


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultyProxy

    def do_GET(self) -> None:
        self._forward(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.proxy.next_fault()
        if fault == "slow":
            time.sleep(3)
        if fault in (None, "slow"):
            self._forward(body)
        elif fault == "drop":
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._send(int(fault or 500), b'{"error": {"message": "the proxy says no"}}')

    def _forward(self, body: bytes | None) -> None:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.proxy.target + self.path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                self._send(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            self._send(error.code, error.read())
        except OSError:
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, content: bytes) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if status == 429:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
