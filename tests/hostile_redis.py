"""A port in front of a real Redis that changes its answers, command by command: a Redis that misbehaves.

    with HostileRedis(redis.port) as hostile:
        hostile.mangle = lambda command, reply: [b"-LOADING Redis is loading\\r\\n"] if command[0] == "HMGET" else [reply]

`command` is a list of texts; `reply` are the bytes that Redis answers it with. What is returned is sent instead: bytes;
a number is a pause in seconds; CLOSE and RESET end the connection, HANG says nothing more.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable
from typing import Any

STALL_S = 120
CLOSE, RESET, HANG = "close", "reset", "hang"

Step = bytes | float | str
Mangle = Callable[[list[str], bytes], Iterable[Step]]


def faithful(_: list[str], reply: bytes) -> Iterable[Step]:
    return [reply]


class HostileRedis:
    def __init__(self, server_port: int) -> None:
        self.mangle: Mangle = faithful
        self.commands: list[list[str]] = []
        self._server_port = server_port
        self._ends = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> HostileRedis:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for connection in [self._listener, *self._open]:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._listener.close()

    def count(self, name: str) -> int:
        return sum(command[0] == name for command in self.commands)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with socket.create_connection(("127.0.0.1", self._server_port), STALL_S) as server:
                client.settimeout(STALL_S)
                commands, replies = client.makefile("rb"), server.makefile("rb")
                while raw := read_reply(commands):
                    server.sendall(raw)
                    command = texts(raw)
                    self.commands.append(command)
                    if not self._send(client, self.mangle(command, read_reply(replies))):
                        return
        except (OSError, ValueError):
            pass
        finally:
            self._open.discard(client)
            client.close()

    def _send(self, client: socket.socket, steps: Iterable[Step]) -> bool:
        """Whether the connection goes on."""
        for step in steps:
            if isinstance(step, bytes):
                client.sendall(step)
            elif isinstance(step, float | int):
                if self._ends.wait(step):
                    return False
            elif step == HANG:
                self._ends.wait(STALL_S)
                return False
            else:
                if step == RESET:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
        return True


def read_reply(stream: Any) -> bytes:
    """The bytes of one element, those within it included; empty at the end."""
    line = stream.readline()
    if line[:1] == b"$" and line[:2] != b"$-":
        return line + stream.read(int(line[1:]) + 2)
    if line[:1] == b"*":
        return line + b"".join(read_reply(stream) for _ in range(max(0, int(line[1:]))))
    return line


def texts(raw: bytes) -> list[str]:
    """Those of a command."""
    parts, rest = [], raw.partition(b"\r\n")[2]
    while rest:
        length, _, rest = rest.partition(b"\r\n")
        size = int(length[1:])
        parts.append(rest[:size].decode("latin-1"))
        rest = rest[size + 2 :]
    return parts


def bulk(text: bytes | None) -> bytes:
    return b"$-1\r\n" if text is None else b"$%d\r\n%s\r\n" % (len(text), text)


def array(*elements: bytes) -> bytes:
    return b"*%d\r\n" % len(elements) + b"".join(elements)


def elements(reply: bytes) -> list[bytes | None]:
    """The texts of an array of bulk strings."""
    parts: list[bytes | None] = []
    rest = reply.partition(b"\r\n")[2]
    while rest:
        length, _, rest = rest.partition(b"\r\n")
        size = int(length[1:])
        if size < 0:
            parts.append(None)
            continue
        parts.append(rest[:size])
        rest = rest[size + 2 :]
    return parts
