"""A data set hub on the loopback: the few answers of the hub's HTTP interface that `datasets` 5 asks for."""

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pyarrow.parquet as pq

COMMIT = "a" * 40
ID = "acme/tiny"
ROWS = [{"question": "a", "label": 0}, {"question": "b", "label": 1}]


def _parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{**row, "unused": "x"} for row in ROWS]), file)
    return file.getvalue()


FILES = {
    "README.md": (
        b"---\nlicense: cc0-1.0\n"
        b"configs:\n- config_name: main\n  data_files:\n  - split: test\n    path: main/*.parquet\n---\n"
    ),
    "main/test-00000-of-00001.parquet": _parquet(),
}


@contextmanager
def stub_hub() -> Iterator[str]:
    """Serve the one data set; the value is the endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            return self._send(b"")
        if path.startswith(f"/datasets/{ID}/resolve/"):
            return self._send_file(path.split("/", 6)[6])
        if path.startswith(f"/api/datasets/{ID}/revision/"):
            return self._send_json(
                {"id": ID, "sha": COMMIT, "siblings": [{"rfilename": name} for name in FILES]}
            )
        if path.startswith(f"/api/datasets/{ID}/tree/{COMMIT}"):
            return self._send_json(
                _listing(path.removeprefix(f"/api/datasets/{ID}/tree/{COMMIT}").strip("/"))
            )
        return self._send(b"", 404, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def _send_file(self, name: str) -> None:
        if name not in FILES:
            return self._send(b"", 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        return self._send(FILES[name], headers={"X-Repo-Commit": COMMIT, "ETag": f'"{_oid(name)}"'})

    def _send_json(self, value: object) -> None:
        self._send(json.dumps(value).encode(), headers={"Content-Type": "application/json"})

    def _send(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


def _oid(name: str) -> str:
    return hashlib.sha1(FILES[name]).hexdigest()


def _listing(folder: str) -> list[dict[str, object]]:
    """Files and folders directly in a folder, as the hub lists them."""
    prefix = f"{folder}/" if folder else ""
    inside = [name.removeprefix(prefix) for name in FILES if name.startswith(prefix)]
    folders = {name.partition("/")[0] for name in inside if "/" in name}
    files = [name for name in inside if "/" not in name]
    return [
        *({"type": "directory", "path": prefix + name, "oid": "0" * 40} for name in sorted(folders)),
        *(
            {
                "type": "file",
                "path": prefix + name,
                "size": len(FILES[prefix + name]),
                "oid": _oid(prefix + name),
            }
            for name in files
        ),
    ]
