"""A TCP port that leads to a server's unix socket and holds back each answer for a while."""

from __future__ import annotations

import itertools
import queue
import socket
import threading
import time
from pathlib import Path

CHUNK = 1 << 16


class DelayProxy:
    """Every piece that the server sends is passed on delay_s after it came; pieces do not wait for one another.

    with DelayProxy(socket_path, 0.1) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/shop"
    """

    def __init__(self, server: Path, delay_s: float) -> None:
        self._server = str(server)
        self._delay_s = delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._flows = threading.Event()
        self._flows.set()

    def freeze(self) -> None:
        """From now on nothing passes, either way, until thaw()."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def __enter__(self) -> DelayProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for connection in [self._listener, *self._open]:
            _cut(connection)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            self._open += [client, server]
            try:
                server.connect(self._server)
            except OSError:
                _cut(client)
                continue
            answers: queue.Queue[tuple[float, bytes]] = queue.Queue()
            for target, args in (
                (self._pass_on, (client, server)),
                (self._collect, (server, answers)),
                (self._answer, (answers, client)),
            ):
                threading.Thread(target=target, args=args, daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        while data := _receive(client):
            self._flows.wait()
            _send(server, data)
        _cut(server)

    def _collect(self, server: socket.socket, answers: queue.Queue[tuple[float, bytes]]) -> None:
        data = b"first"
        while data:
            data = _receive(server)
            answers.put((time.monotonic() + self._delay_s, data))

    def _answer(self, answers: queue.Queue[tuple[float, bytes]], client: socket.socket) -> None:
        while True:
            due, data = answers.get()
            time.sleep(max(0.0, due - time.monotonic()))
            self._flows.wait()
            if not data:
                return _cut(client)
            _send(client, data)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(CHUNK)
    except OSError:
        return b""


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:
        pass


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


class FlakyProxy:
    """A TCP port that leads to another one and, of three connections, cuts the third after `cut_bytes` of either way and
    answers the second with 503 instead of passing it on; the first is passed on.

    with FlakyProxy(storage.port, 1 << 20) as proxy:
        ... f"http://127.0.0.1:{proxy.port}"
        assert proxy.cut and proxy.refused
    """

    REFUSAL = b"HTTP/1.1 503 Slow Down\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def __init__(self, port: int, cut_bytes: int) -> None:
        self._server = ("127.0.0.1", port)
        self._cut_bytes = cut_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self.cut = 0
        self.refused = 0

    def __enter__(self) -> FlakyProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for connection in [self._listener, *self._open]:
            _cut(connection)

    def _accept(self) -> None:
        for number in itertools.count():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            if number % 3 == 1:
                threading.Thread(target=self._refuse, args=(client,), daemon=True).start()
                continue
            try:
                server = socket.create_connection(self._server)
            except OSError:
                _cut(client)
                continue
            self._open.append(server)
            limit = self._cut_bytes if number % 3 == 2 else 0
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, target, limit), daemon=True).start()

    def _refuse(self, client: socket.socket) -> None:
        """Once the head of a request is there."""
        head = b""
        while b"\r\n\r\n" not in head and (data := _receive(client)):
            head += data
        if head:
            self.refused += 1
            _send(client, self.REFUSAL)
        _cut(client)

    def _pass_on(self, source: socket.socket, target: socket.socket, limit: int) -> None:
        passed = 0
        while data := _receive(source):
            passed += len(data)
            if limit and passed > limit:
                self.cut += 1
                break
            _send(target, data)
        _cut(source)
        _cut(target)
