"""A peer that speaks PostgreSQL's protocol as it likes: a TCP port in front of a real server, where rules change the answers.

    with HostilePostgres(server) as peer:
        url = peer.url("shop")
        peer.when("INSERT INTO image_cache", answer(error("40001")))    # not passed on to the server
        peer.when("FROM image_cache", rewrite(null_in(4)))              # passed on, the answer is changed
        peer.calm()                                                     # from now on the server's own answers

A rule counts for statements whose text holds its words; the last one that fits is taken. Protocol: PostgreSQL documentation,
"Message Formats".
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from servers import Postgres

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102

Message = tuple[bytes, bytes]  # kind, body


def frame(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def ready(status: str = "I") -> bytes:
    return frame(b"Z", status.encode())


def error(sqlstate: str | None, severity: str = "ERROR", message: str = "made up", function: str = "peer") -> bytes:
    """One ErrorResponse; with sqlstate None it lacks that field."""
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": message, "R": function}
    body = b"".join(name.encode() + text(value) for name, value in fields.items() if value is not None)
    return frame(b"E", body + b"\0")


def notice(message: str, sqlstate: str = "01000") -> bytes:
    fields = {"S": "WARNING", "V": "WARNING", "C": sqlstate, "M": message}
    return frame(b"N", b"".join(name.encode() + text(value) for name, value in fields.items()) + b"\0")


@dataclass
class Rule:
    words: str
    answer: bytes | None = None  # instead of the server's
    closes: bool = False  # after the answer
    change: Callable[[Message], Iterable[bytes]] | None = None  # of each message of the server's answer
    begins: bool = False  # a transaction that the server is told to begin around the statement
    times: int = -1  # how often; -1: always
    only: Callable[[bytes], bool] | None = None  # of the client's messages; None: of all
    used: int = 0


def answer(*messages: bytes, status: str = "I") -> dict[str, Any]:
    """The statement never reaches the server; these messages and ReadyForQuery are its answer."""
    return {"answer": b"".join(messages) + ready(status)}


def raw(*messages: bytes) -> dict[str, Any]:
    """Likewise, without ReadyForQuery."""
    return {"answer": b"".join(messages)}


def close(*messages: bytes) -> dict[str, Any]:
    """The statement never reaches the server; the connection ends after these messages."""
    return {"answer": b"".join(messages), "closes": True}


def begin() -> dict[str, Any]:
    """The statement runs in a transaction that nobody ends, as behind a proxy that splits statements."""
    return {"begins": True}


def rewrite(change: Callable[[Message], Iterable[bytes]]) -> dict[str, Any]:
    return {"change": change}


# Changes of single messages


def on(kind: bytes, change: Callable[[bytes], Iterable[bytes]]) -> Callable[[Message], Iterable[bytes]]:
    """Messages of this kind are replaced by others, all else stays."""

    def apply(message: Message) -> Iterable[bytes]:
        return change(message[1]) if message[0] == kind else [frame(*message)]

    return apply


def columns_of(body: bytes) -> list[bytes | None]:
    count, at, found = struct.unpack_from("!h", body)[0], 2, []
    for _ in range(count):
        length = struct.unpack_from("!i", body, at)[0]
        at += 4
        found.append(body[at : at + length] if length >= 0 else None)
        at += max(length, 0)
    return found


def data_row(columns: list[bytes | None]) -> bytes:
    body = struct.pack("!h", len(columns))
    for value in columns:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return frame(b"D", body)


def set_column(index: int, value: bytes | None) -> Callable[[Message], Iterable[bytes]]:
    def change(body: bytes) -> Iterable[bytes]:
        columns = columns_of(body)
        columns[index] = value
        return [data_row(columns)]

    return on(b"D", change)


def null_in(index: int) -> Callable[[Message], Iterable[bytes]]:
    return set_column(index, None)


def descriptions(body: bytes) -> list[tuple[bytes, tuple[int, ...]]]:
    """Of a RowDescription: name; table, column, type, size, modifier, format."""
    count, at, found = struct.unpack_from("!h", body)[0], 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        found.append((body[at:end], struct.unpack_from("!ihihih", body, end + 1)))
        at = end + 1 + 18
    return found


def row_description(columns: list[tuple[bytes, tuple[int, ...]]]) -> bytes:
    body = struct.pack("!h", len(columns))
    for name, values in columns:
        body += name + b"\0" + struct.pack("!ihihih", *values)
    return frame(b"T", body)


def set_description(index: int, position: int, value: int) -> Callable[[Message], Iterable[bytes]]:
    """position 2: the type, 5: the format."""

    def change(body: bytes) -> Iterable[bytes]:
        columns = descriptions(body)
        values = list(columns[index][1])
        values[position] = value
        columns[index] = (columns[index][0], tuple(values))
        return [row_description(columns)]

    return on(b"T", change)


def without_last_column(message: Message) -> Iterable[bytes]:
    if message[0] == b"T":
        return [row_description(descriptions(message[1])[:-1])]
    if message[0] == b"D":
        return [data_row(columns_of(message[1])[:-1])]
    return [frame(*message)]


@dataclass
class Group:
    """What lies between two Syncs."""

    query: str
    rule: Rule | None = None


@dataclass
class Session:
    peer: HostilePostgres
    client: socket.socket
    server: socket.socket
    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: deque[Group] = field(default_factory=deque)
    names: dict[bytes, str] = field(default_factory=dict)

    def enter(self, group: Group, messages: bytes) -> None:
        with self.lock:
            group.rule = self.peer.rule_for(group.query, messages)
            if group.rule and group.rule.begins:
                self.waiting.append(Group("BEGIN", Rule("BEGIN", change=lambda message: [])))
                self.server.sendall(frame(b"Q", text("BEGIN")))
            self.waiting.append(group)
            if group.rule is None or group.rule.answer is None:
                self.server.sendall(messages)
            elif len(self.waiting) == 1:
                self.answer_next()

    def answer_next(self) -> None:
        """With the lock held: the answers that need no server."""
        while self.waiting and (rule := self.waiting[0].rule) is not None and rule.answer is not None:
            self.waiting.popleft()
            self.peer.send(self.client, rule.answer)
            if rule.closes:
                raise OSError("closed by a rule")

    def pass_back(self, message: Message) -> None:
        with self.lock:
            rule = self.waiting[0].rule if self.waiting else None
            if message[0] == b"Z" and self.waiting:
                self.waiting.popleft()
            for piece in rule.change(message) if rule and rule.change else [frame(*message)]:
                self.peer.send(self.client, piece)
            if rule and rule.closes and message[0] == b"Z":
                raise OSError("closed by a rule")
            if message[0] == b"Z":
                self.answer_next()


class HostilePostgres:
    STARTUP = "(startup)"  # the words of a rule for the connection's beginning

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.ssl_answer = b"N"
        self.refuses = False
        self.drip_bytes = 0  # pieces of so many bytes, 10 ms apart
        self.connections = 0
        self.queries: list[str] = []  # all that were asked, by the client's order

    def url(self, database: str, host: str = "127.0.0.1") -> str:
        return f"postgresql://postgres@{host}:{self.port}/{quote(database)}"

    def when(self, words: str, what: dict[str, Any], times: int = -1,
             only: Callable[[bytes], bool] | None = None) -> Rule:
        rule = Rule(words, times=times, only=only, **what)
        with self._lock:
            self._rules.append(rule)
        return rule

    def calm(self) -> None:
        with self._lock:
            self._rules.clear()
        self.drip_bytes = 0

    def cut(self) -> None:
        """Ends every connection."""
        for connection in self._open:
            _end(connection)

    def asked(self, words: str) -> int:
        return sum(words in query for query in self.queries)

    def rule_for(self, query: str, messages: bytes) -> Rule | None:
        with self._lock:
            self.queries.append(query)
            for rule in reversed(self._rules):
                if rule.words in query and rule.times != 0 and (not rule.only or rule.only(messages)):
                    rule.times -= rule.times > 0
                    rule.used += 1
                    return rule
        return None

    def send(self, client: socket.socket, data: bytes) -> None:
        if not self.drip_bytes:
            client.sendall(data)
            return
        for at in range(0, len(data), self.drip_bytes):
            client.sendall(data[at : at + self.drip_bytes])
            time.sleep(0.01)

    def __enter__(self) -> HostilePostgres:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._listener)
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuses:
                _end(client)
                continue
            self.connections += 1
            self._open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        self._open.append(server)
        try:
            server.connect(str(Path(self._server.socket_folder) / f".s.PGSQL.{self._server.port}"))
            session = Session(self, client, server)
            if self._start(session):
                threading.Thread(target=self._pass_back, args=(session,), daemon=True).start()
                self._pass_on(session)
        except OSError:
            pass
        _end(client)
        _end(server)

    def _start(self, session: Session) -> bool:
        while True:
            head = _read(session.client, 8)
            length, code = struct.unpack("!ii", head)
            if code in (SSL_REQUEST, GSS_REQUEST):
                session.client.sendall(self.ssl_answer)
                continue
            body = _read(session.client, length - 8)
            if code == CANCEL_REQUEST:
                return False
            session.enter(Group(self.STARTUP), head + body)
            return True

    def _pass_on(self, session: Session) -> None:
        group, messages = Group(""), b""
        while True:
            kind, body = _message(session.client)
            messages += frame(kind, body)
            if kind == b"P":
                name, query = body.split(b"\0", 2)[:2]
                session.names[name] = group.query = query.decode()
            elif kind == b"B":
                group.query = session.names.get(body.split(b"\0", 2)[1], "")
            elif kind == b"Q":
                group.query = body[:-1].decode()
            if kind in (b"S", b"Q"):
                session.enter(group, messages)
                group, messages = Group(""), b""
            elif kind == b"p":  # a password
                session.server.sendall(messages)
                messages = b""
            elif kind == b"X":
                return

    def _pass_back(self, session: Session) -> None:
        try:
            while True:
                session.pass_back(_message(session.server))
        except (OSError, struct.error):
            _end(session.client)
            _end(session.server)


def _message(connection: socket.socket) -> Message:
    head = _read(connection, 5)
    return head[:1], _read(connection, struct.unpack("!i", head[1:])[0] - 4)


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(min(1 << 20, count - len(data)))
        if not piece:
            raise OSError("closed")
        data += piece
    return data


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
