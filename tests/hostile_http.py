"""An HTTP server that misbehaves, byte by byte: an origin of images, or object storage.

    with HostileHttp() as server:
        server.script("/a.png", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", CLOSE])
        serve(**server.origin("legacy"))
        assert server.count("/a.png") == 1

A script is what the server does when that path is asked for: bytes are sent, a number is a pause in seconds, CLOSE ends
the connection, RESET does so by a TCP reset, HANG says nothing more until the client goes or the server ends. Behind
the last step the connection is kept for the next request. A callable is given the request and returns the steps.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

STALL_S = 120
CLOSE, RESET, HANG = "close", "reset", "hang"

Step = bytes | float | str


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # decoded, without the query
    query: str
    headers: dict[str, str]  # names in lower case
    body: bytes


Script = Iterable[Step] | Callable[[Request], Iterable[Step]]


class HostileHttp:
    def __init__(self, certificate: Path | None = None) -> None:
        self.scripts: dict[str, Script] = {}
        self.otherwise: Script = [answer(404)]
        self.requests: list[Request] = []
        self._ends = threading.Event()
        self._context: ssl.SSLContext | None = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if certificate else 'http'}://{self.host}"

    def __enter__(self) -> HostileHttp:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def script(self, path: str, steps: Script) -> None:
        self.scripts[path] = steps

    def count(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)

    def origin(self, collection: str) -> dict[str, str]:
        return {
            "PERDURA_ORIGINS": f"{collection}={self.url}/",
            "PERDURA_ALLOWED_SOURCES": self.host,
            "PERDURA_ALLOW_PRIVATE_SOURCES": "on",
        }

    def storage(self) -> dict[str, str]:
        return {
            "PERDURA_S3_ENDPOINT": self.url,
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(STALL_S)
        try:
            if self._context:
                client = self._context.wrap_socket(client, server_side=True)
            with client.makefile("rb") as stream:
                while (request := read_request(stream)) and self._follow(client, request):
                    pass
        except (OSError, ValueError):
            pass
        finally:
            client.close()  # of TLS: without its goodbye (close_notify)

    def _follow(self, client: socket.socket, request: Request) -> bool:
        """Whether the connection is kept."""
        self.requests.append(request)
        steps = self.scripts.get(request.path, self.otherwise)
        for step in steps(request) if callable(steps) else steps:
            if isinstance(step, bytes):
                client.sendall(step)
            elif isinstance(step, float | int):
                if self._ends.wait(step):
                    return False
            elif step == HANG:
                self._ends.wait(STALL_S)
                return False
            elif step == RESET:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            else:
                return False
        return True


def read_request(stream: Any) -> Request | None:
    line = stream.readline().decode("latin-1").split()
    if len(line) < 2:
        return None
    headers = {}
    while (field := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = field.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    path, _, query = line[1].partition("?")
    return Request(line[0], unquote(path), query, headers, body)


def answer(status: int, body: bytes = b"", *fields: str, length: bool = True) -> bytes:
    """As it should be."""
    head = [f"HTTP/1.1 {status} Any Reason", *fields]
    if length:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def chunked(body: bytes, *fields: str, end: bytes = b"0\r\n\r\n", status: int = 200) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status} Any Reason", *fields, "Transfer-Encoding: chunked"]).encode("latin-1")
    return head + b"\r\n\r\n%x\r\n%s\r\n%s" % (len(body), body, end)


def drip(content: bytes, pause_s: float, piece: int = 1) -> Iterator[Step]:
    for at in range(0, len(content), piece):
        yield content[at : at + piece]
        yield pause_s


def flood(piece: bytes, seconds: float = 60.0) -> Iterator[Step]:
    """The same again and again, until the client goes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield piece
