"""A client of Redis for tests: one connection, one command at a time."""

from __future__ import annotations

import socket
import ssl
from typing import Any

TIMEOUT_S = 120


class RedisError(Exception):
    """An answer that begins with '-'."""


class RedisClient:
    def __init__(self, port: int, password: str = "", tls: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._socket = tls.wrap_socket(plain) if tls else plain
        self._file = self._socket.makefile("rb")
        if password:
            self("AUTH", password)

    def __enter__(self) -> RedisClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def __call__(self, *command: str | bytes | int) -> Any:
        parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
        head = b"*%d\r\n" % len(parts)
        self._socket.sendall(head + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self._answer()

    def _answer(self) -> Any:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        return None if rest == b"-1" else [self._answer() for _ in range(int(rest))]
