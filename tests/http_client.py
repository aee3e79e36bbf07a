"""HTTP as the tests speak it: whole requests by http.client, and bytes on a socket for what no library would send."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable
from contextlib import closing
from http.client import HTTPConnection
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import quote

TIMEOUT_S = 60  # generous: a machine may be busy; what has a promised limit is measured by the test itself
TOKEN = "a-token-of-the-tests"


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    seconds: float = 0.0

    def __repr__(self) -> str:
        """Short enough for a report of what failed."""
        return f"Answer({self.status}, {self.headers}, {len(self.body)} bytes: {self.body[:200]!r})"

    def __getitem__(self, name: str) -> str | None:  # type: ignore[override]
        """The value of a header that came once; None when it did not come."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def json(self) -> Any:
        assert self["Content-Type"] in ("application/json", "application/problem+json"), self
        return json.loads(self.body)

    def problem(self, status: int) -> str:
        """Checks that this is a problem document (RFC 9457) that no cache keeps; its detail."""
        assert self.status == status, self
        assert self["Content-Type"] == "application/problem+json", self
        assert self["Cache-Control"] == "no-store", self
        assert (int(self["Retry-After"] or "0") >= 1) == (status in (429, 503)), self
        document = json.loads(self.body)
        assert document["status"] == status and document["title"] and document["type"] == "about:blank"
        assert document["detail"]
        return document["detail"]


def url_of(path: str) -> str:
    return "/media/" + quote(path)


class HttpClient:
    """A connection for each request, unless a test keeps one."""

    def __init__(self, host: str, port: int, token: str | None = TOKEN) -> None:
        self.host = host
        self.port = port
        self.token = token

    def connect(self, timeout: float = TIMEOUT_S) -> HTTPConnection:
        return HTTPConnection(self.host, self.port, timeout=timeout)

    def socket(self, timeout: float = TIMEOUT_S) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | dict | None = None,
        headers: dict[str, str] | None = None,
        token: str | None = "",
        timeout: float = TIMEOUT_S,
    ) -> Answer:
        """`token`: None for no Authorization, "" for the client's own. A dict as body is sent as JSON."""
        with closing(self.connect(timeout)) as connection:
            return self.on(connection, method, path, body, headers, token)

    def on(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | dict | None = None,
        headers: dict[str, str] | None = None,
        token: str | None = "",
    ) -> Answer:
        """As request(), on a connection that stays."""
        fields = dict(headers or {})
        bearer = self.token if token == "" else token
        if bearer:
            fields["Authorization"] = f"Bearer {bearer}"
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            fields["Content-Type"] = "application/json"
        began = time.monotonic()
        connection.request(method, path, body, fields)
        with closing(connection.getresponse()) as response:
            content = response.read()
            return Answer(response.status, response.getheaders(), content, time.monotonic() - began)

    def get(self, path: str, **headers: str) -> Answer:
        """Headers as keywords: If_None_Match=..."""
        return self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def head(self, path: str, **headers: str) -> Answer:
        return self.request("HEAD", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def put(self, path: str, body: bytes | Iterable[bytes], **headers: str) -> Answer:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("PUT", path, body, fields)

    def post(self, path: str, body: dict | bytes | None = None) -> Answer:
        return self.request("POST", path, body)

    def raw(self, request: bytes, timeout: float = TIMEOUT_S) -> bytes:
        """All that comes back until the server closes, which it has to do within `timeout`."""
        with self.socket(timeout) as sock:
            try:
                sock.sendall(request)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it did not want to hear the rest
            return until_closed(sock)


def until_closed(sock: socket.socket) -> bytes:
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def read_answer(sock: socket.socket, method: str = "GET") -> Answer:
    """One answer, and nothing behind it is taken off the socket."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise ConnectionError(f"closed after {head!r}")
        head += byte
    status, headers = parse_head(head)
    length = int(dict((name.lower(), value) for name, value in headers).get("content-length", "0"))
    body = bytearray()
    while method != "HEAD" and status not in (100, 204, 304) and len(body) < length:
        part = sock.recv(length - len(body))
        if not part:
            raise ConnectionError(f"closed after {len(body)} of {length} bytes")
        body += part
    return Answer(status, headers, bytes(body))


def parse_head(head: bytes) -> tuple[int, list[tuple[str, str]]]:
    lines = head.decode("latin-1").split("\r\n")
    version, status, *_ = lines[0].split(" ")
    assert version in ("HTTP/1.1", "HTTP/1.0"), lines[0]
    return int(status), [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:] if line)]


def parse_answers(data: bytes, methods: Iterable[str]) -> list[Answer]:
    """All answers in what came over one connection, and nothing else."""
    stream = BytesIO(data)
    answers = []
    for method in methods:
        head = b"".join(iter_head(stream))
        status, headers = parse_head(head)
        length = int({name.lower(): value for name, value in headers}.get("content-length", "0"))
        body = b"" if method == "HEAD" or status in (204, 304) else stream.read(length)
        answers.append(Answer(status, headers, body))
    assert not stream.read(), "there is more behind the last answer"
    return answers


def iter_head(stream: BytesIO) -> Iterable[bytes]:
    for line in stream:
        yield line
        if line == b"\r\n":
            return


def metric(http: HttpClient, name: str) -> float:
    """The value of one metric, its labels in the name."""
    for line in http.get("/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no metric {name}")
