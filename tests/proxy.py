"""A TCP port that leads to a server's unix socket and holds back each answer for a while."""

from __future__ import annotations

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
