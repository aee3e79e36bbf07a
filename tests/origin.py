"""A web server that images come from: counts who asks for what, honours conditions, and fails on demand.

    with Origin() as origin:
        origin.put("a/b.png", content)
        serve(**origin.settings("legacy"))
        origin.fault = "503"
        assert origin.count("a/b.png") == 1
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

MODIFIED_S = 1700000000
STALL_S = 60


class Stored(NamedTuple):
    content: bytes
    type: str
    etag: str | None
    modified_s: int | None


class Asked(NamedTuple):
    path: str  # as it came, encoded
    status: int
    if_none_match: str | None
    if_modified_since: str | None


class Origin:
    """`fault`, of all requests, or `faults`, of one path:

    a status     it is the answer
    stall        no answer comes before the fault is taken back
    cut          the connection ends in the middle of the content
    cut once     likewise, the first time
    html         a page for people, with status 200
    chunked      the content comes without its length
    """

    def __init__(self, certificate: Path | None = None, name: str = "127.0.0.1") -> None:
        self.objects: dict[str, Stored] = {}
        self.redirects: dict[str, str] = {}
        self.asked: list[Asked] = []
        self.fault: str | None = None
        self.faults: dict[str, str] = {}
        self.headers: dict[str, str] = {}  # of every answer
        self.gate = threading.Event()  # nobody is answered while it is not set
        self.gate.set()
        self.waiting = 0
        self._certificate = certificate
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()
        self.scheme = "https" if certificate else "http"
        self.url = f"{self.scheme}://{name}:{self.port}"
        self.host = f"{name}:{self.port}"

    def __enter__(self) -> Origin:
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self.stop()

    def settings(self, collection: str, path: str = "/") -> dict[str, str]:
        return {
            "PERDURA_ORIGINS": f"{collection}={self.url}{path}",
            "PERDURA_ALLOWED_SOURCES": self.host,
            "PERDURA_ALLOW_PRIVATE_SOURCES": "on",
        }

    def put(
        self, path: str, content: bytes, type: str = "image/png", etag: bool = True, modified_s: int | None = MODIFIED_S
    ) -> None:
        tag = f'"{hashlib.md5(content).hexdigest()}"' if etag else None
        self.objects["/" + path] = Stored(content, type, tag, modified_s)

    def delete(self, path: str) -> None:
        del self.objects["/" + path]

    def count(self, path: str) -> int:
        return sum(unquote(asked.path) == "/" + path for asked in self.asked)

    def stop(self) -> None:
        """Nobody listens any more, and all connections end."""
        if not self._server:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        with self._lock:
            for connection in self._connections:
                hang_up(connection)

    def start(self) -> None:
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = STALL_S

            def setup(self) -> None:
                super().setup()
                with origin._lock:
                    origin._connections.add(self.connection)

            def finish(self) -> None:
                with origin._lock:
                    origin._connections.discard(self.connection)
                super().finish()

            def do_GET(self) -> None:
                origin._answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256
            allow_reuse_address = True

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate, self._certificate.with_suffix(".key"))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _answer(self, client: BaseHTTPRequestHandler) -> None:
        path = unquote(client.path)
        fault = self.faults.get(path, self.fault)
        if fault == "cut once":
            del self.faults[path]
            fault = "cut"
        with self._lock:
            self.waiting += 1
        self.gate.wait(STALL_S)
        if fault == "stall":
            threading.Event().wait(STALL_S)
        with self._lock:
            self.waiting -= 1
        none_match = client.headers.get("If-None-Match")
        since = client.headers.get("If-Modified-Since")
        stored = self.objects.get(path)
        status = 302 if path in self.redirects else self._status(stored, none_match, since)
        if fault and fault.isdigit():
            status = int(fault)
        elif fault == "html":
            status, stored = 200, Stored(b"<!DOCTYPE html><html><body>Oops</body></html>", "text/html", None, None)
        self.asked.append(Asked(client.path, status, none_match, since))
        self._send(client, status, stored, path, fault)

    @staticmethod
    def _status(stored: Stored | None, none_match: str | None, since: str | None) -> int:
        if not stored:
            return 404
        if none_match is not None:
            return 304 if stored.etag and stored.etag in none_match else 200
        if since is not None and stored.modified_s is not None and since == formatdate(stored.modified_s, usegmt=True):
            return 304
        return 200

    def _send(
        self, client: BaseHTTPRequestHandler, status: int, stored: Stored | None, path: str, fault: str | None
    ) -> None:
        content = stored.content if stored and status == 200 else b""
        client.send_response(status)
        if stored and status in (200, 304):
            client.send_header("Content-Type", stored.type)
            if stored.etag:
                client.send_header("ETag", stored.etag)
            if stored.modified_s is not None:
                client.send_header("Last-Modified", formatdate(stored.modified_s, usegmt=True))
        if status == 302:
            client.send_header("Location", self.redirects[path])
        for name, value in self.headers.items():
            client.send_header(name, value)
        if fault == "chunked":
            client.send_header("Transfer-Encoding", "chunked")
            content = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
        elif status != 304:
            client.send_header("Content-Length", str(len(content)))
        client.end_headers()
        if client.command != "HEAD":
            client.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
        if fault == "cut":
            client.close_connection = True
            hang_up(client.connection)


def hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def make_certificate(folder: Path, name: str = "IP:127.0.0.1") -> Path:
    """A self-signed one; its key lies beside it."""
    path = folder / "origin.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=origin",
         "-addext", f"subjectAltName={name}", "-keyout", path.with_suffix(".key"), "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    return path
