"""An HTTP port in front of object storage that counts what is asked for, and fails on demand.

    with BucketProxy(server_port) as proxy:
        proxy.fault = lambda request: "503" if request.number % 3 == 0 else None
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHUNK = 1 << 16
TIMEOUT_S = 60
WRONG_SECRET = (
    b"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does"
    b" not match the signature you provided.</Message></Error>"
)


@dataclass(frozen=True)
class Request:
    number: int  # from 1 on
    method: str
    path: str


class BucketProxy:
    """`fault` is asked before each request is passed on; what it may answer:

    503          the storage says "slow down"
    403          it takes the secret for a wrong one
    refuse       the connection ends before anything is read
    cut          the connection ends in the middle of the transfer: of the body that comes in, or of the answer's
    forget       the request is carried out, and the connection ends without an answer
    damage       the storage keeps another last byte than what came
    veil         its ETag is no checksum, as with encryption
    """

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.fault: Callable[[Request], str | None] = lambda request: None
        self.stored: Counter[str] = Counter()  # PUTs that the storage has carried out, by path
        self.faults: Counter[str] = Counter()
        self._count = 0
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = TIMEOUT_S

            def handle_any(self) -> None:
                proxy._handle(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> BucketProxy:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, client: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self._count += 1
            request = Request(self._count, client.command, client.path)
        fault = self.fault(request)
        if fault:
            with self._lock:
                self.faults[fault] += 1
        length = int(client.headers.get("Content-Length") or 0)
        if fault == "refuse":
            return self._hang_up(client)
        if fault == "cut" and length:
            client.rfile.read(length // 2)
            return self._hang_up(client)
        body = client.rfile.read(length)
        if len(body) < length:
            return self._hang_up(client)
        if fault == "503":
            return self._answer(client, 503, {"Retry-After": "0"}, b"")
        if fault == "403":
            return self._answer(client, 403, {"Content-Type": "application/xml"}, WRONG_SECRET)
        if fault == "damage" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        self._pass_on(client, request, body, fault)

    def _pass_on(self, client: BaseHTTPRequestHandler, request: Request, body: bytes, fault: str | None) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=TIMEOUT_S)
        try:
            upstream.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in client.headers.items():
                if name.lower() not in ("connection", "expect", "transfer-encoding"):
                    upstream.putheader(name, value)
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            content = answer.read()
            headers = dict(answer.getheaders())
            if fault == "veil" and "ETag" in headers:
                headers["ETag"] = '"veiled"'
        except OSError:
            return self._hang_up(client)
        finally:
            upstream.close()
        if request.method == "PUT" and answer.status == 200:
            with self._lock:
                self.stored[request.path] += 1
        if fault == "forget":
            return self._hang_up(client)
        self._answer(client, answer.status, headers, content, half=fault == "cut")

    def _answer(
        self, client: BaseHTTPRequestHandler, status: int, headers: dict[str, str], content: bytes, half: bool = False
    ) -> None:
        client.send_response_only(status)
        length = len(content)
        for name, value in headers.items():
            if name.lower() == "content-length":
                length = int(value)  # HEAD has a length and no content
            elif name.lower() not in ("connection", "transfer-encoding", "keep-alive"):
                client.send_header(name, value)
        client.send_header("Content-Length", str(length))
        client.end_headers()
        if client.command != "HEAD":
            client.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            self._hang_up(client)

    @staticmethod
    def _hang_up(client: BaseHTTPRequestHandler) -> None:
        client.close_connection = True
        try:
            client.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
