"""A Redis that answers in every way that its protocol allows, and in many that it forbids: nothing crashes, no wrong image
is served, requests are answered from the database, and it is used again by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import images
import pytest
from conftest import Served
from hostile_redis import CLOSE, HANG, RESET, HostileRedis, Mangle, array, bulk, elements
from http_client import url_of
from servers import Redis, wait_until

WAIT_S = 60
SETTINGS = {"PERDURA_REDIS_TIMEOUT": "2000", "PERDURA_MEMORY_ITEMS": "0"}  # a busy machine is no outage
OTHER = images.make("png", "another")
FIELDS = 18  # of a hash, as they are asked for


@pytest.fixture(scope="module")
def shared(session_folder: Path) -> Iterator[Redis]:
    with Redis(session_folder / "redis47") as redis:
        yield redis


@pytest.fixture
def redis(shared: Redis) -> Redis:
    shared("FLUSHALL")
    return shared


@pytest.fixture
def hostile(redis: Redis) -> Iterator[HostileRedis]:
    with HostileRedis(redis.port) as server:
        yield server


def state(http: Served) -> dict:
    return http.get("/ready").json["redis"]


def key_of(path: str) -> str:
    return f"image:path:media:{path}"


# Rows: what is sent instead of the answer to a read (HMGET), or to everything


def reads(*steps: bytes | float | str) -> Mangle:
    return lambda command, reply: steps if command[0] == "HMGET" else [reply]


def everything(*steps: bytes | float | str) -> Mangle:
    return lambda command, reply: steps


def fields(change: Callable[[list[bytes | None]], list[bytes | None]]) -> Mangle:
    """Another hash than what is there. Its fields: see data encoding content_type sha256 size ..."""
    return lambda command, reply: [array(*map(bulk, change(elements(reply))))] if command[0] == "HMGET" else [reply]


def with_field(index: int, value: bytes | None) -> Mangle:
    return fields(lambda values: [*values[:index], value, *values[index + 1 :]])


def cut(count: int, how: str) -> Mangle:
    return lambda command, reply: [reply[:count], how] if command[0] == "HMGET" else [reply]


def slowly(pause_s: float) -> Mangle:
    def drip(command: list[str], reply: bytes) -> Iterable[bytes | float | str]:
        if command[0] != "HMGET":
            return [reply]
        return (step for at in range(len(reply)) for step in (reply[at : at + 1], pause_s))

    return drip


def swapped(command: list[str], reply: bytes) -> Iterable[bytes]:
    """The answers to a read and to the question behind it, the other way round."""
    if command[0] == "HMGET":
        swapped_replies.append(reply)
        return []
    return [reply, swapped_replies.pop()] if command[0] == "PTTL" and swapped_replies else [reply]


swapped_replies: list[bytes] = []

ROWS: dict[str, Mangle] = {
    # Errors
    **{f"{kind} to reads": reads(f"-{kind} some text\r\n".encode()) for kind in (
        "LOADING", "MASTERDOWN", "BUSY", "READONLY", "MISCONF", "NOAUTH", "WRONGPASS", "NOPERM", "MOVED 3999 127.0.0.1:1",
        "ASK 3999 127.0.0.1:1", "CLUSTERDOWN", "TRYAGAIN", "OOM", "ERR", "WRONGTYPE", "NOREPLICAS", "UNKILLABLE")},
    **{f"{kind} to all": everything(f"-{kind} some text\r\n".encode()) for kind in ("LOADING", "NOAUTH", "NOPERM", "BUSY", "ERR")},
    # Another protocol
    "a web server": everything(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", CLOSE),
    "a mail server": everything(b"220 mail.example ESMTP\r\n"),
    "bytes by chance": everything(bytes(range(256)) * 4),
    "TLS": everything(b"\x15\x03\x01\x00\x02\x02\x46", CLOSE),
    "RESP3": reads(b"%1\r\n+a\r\n+b\r\n"),
    "a push": reads(b">3\r\n+message\r\n+a\r\n+b\r\n"),
    # Lengths
    "a text of 2 GiB": reads(b"*18\r\n$2147483647\r\n"),
    "a text of -5": reads(b"*18\r\n$-5\r\n"),
    "a text of no number": reads(b"*18\r\n$abc\r\n"),
    "a text beyond all numbers": reads(b"*18\r\n$99999999999999999999999\r\n"),
    "a text without its line end": reads(b"*18\r\n$3\r\nabcdef\r\n"),
    "a million elements": reads(b"*1000000\r\n", HANG),
    "two thousand million elements": reads(b"*2147483647\r\n", HANG),
    "-2 elements": reads(b"*-2\r\n"),
    "no elements": reads(b"*0\r\n"),
    "no array": reads(b"*-1\r\n"),
    "too few fields": reads(array(bulk(b"a"))),
    "too many fields": reads(array(*[bulk(b"a")] * (FIELDS + 1))),
    "arrays in arrays": reads(b"*1\r\n" * 100 + b"+a\r\n"),
    "wide arrays in arrays": reads(b"*60000\r\n" * 6, HANG),
    "numbers for texts": reads(array(*[b":1\r\n"] * FIELDS)),
    "arrays for texts": reads(array(*[b"*1\r\n+a\r\n"] * FIELDS)),
    "errors for texts": reads(array(*[b"-ERR no\r\n"] * FIELDS)),
    "a text for an array": reads(b"+OK\r\n"),
    "a number for an array": reads(b":42\r\n"),
    "a line without end": reads(*[b"+" + b"x" * 65000] + [b"x" * 65000] * 20, HANG),
    "a number without end": reads(b":" + b"1" * 1000, HANG),
    "a flood": reads(*[bulk(b"x" * 1000000)] * 40),
    "a line feed alone": reads(b"*18\n$1\na\n"),
    # Order
    "one answer too many": reads(b"+OK\r\n", array(*[bulk(None)] * FIELDS)),
    "half an answer too many": lambda command, reply: [reply + b"$100\r\nabc"] if command[0] == "PTTL" else [reply],
    "the other way round": swapped,
    # Time
    "silence": reads(HANG),
    "silence to all": everything(HANG),
    "one byte at a time": slowly(0.2),
    "closed": reads(CLOSE),
    "reset": reads(RESET),
    "all closed": everything(CLOSE),
    **{f"cut at {count}": cut(count, CLOSE) for count in (1, 2, 4, 5, 10, 50, 200, 300)},
    # Another hash
    "another image under that sha256": fields(lambda values: [None, OTHER, None, b"image/png", values[4], str(len(OTHER)).encode(), *values[6:]]),
    "other bytes": with_field(1, OTHER),
    "no bytes": with_field(1, b""),
    "bytes cut": fields(lambda values: [values[0], (values[1] or b"")[:-1], *values[2:]]),
    "another sha256": with_field(4, b"0" * 64),
    "a sha256 of no digits": with_field(4, b"x" * 64),
    "a short sha256": with_field(4, b"ab"),
    "no sha256": with_field(4, None),
    "a larger size": with_field(5, b"999999"),
    "a size beyond all numbers": with_field(5, b"9" * 40),
    "a negative size": with_field(5, b"-1"),
    "a size of no number": with_field(5, b"many"),
    "another type": with_field(3, b"text/html"),
    "a type with line ends": with_field(3, b"image/png\r\nX-Evil: 1"),
    "another path": with_field(8, b"../../etc/passwd"),
    "another collection": with_field(7, b"other"),
    "an encoding of no name": with_field(2, b"gzip"),
    "zstd of no zstd": with_field(2, b"zstd"),
    "a circle": with_field(0, b"image:path:media:a.png"),
}  # fmt: skip


class Shop:
    """Images that are in the database and in Redis, and not on disk when they are asked for."""

    def __init__(self, http: Served, redis: Redis, count: int) -> None:
        self.http, self.redis = http, redis
        self.stored = {f"{number}.png": images.make("png", ("shop", number)) for number in range(count)}
        for path, data in self.stored.items():
            assert http.put(url_of(path), data).status == 201

    def get(self, path: str) -> str | None:
        """The tier that it came from; never another image."""
        file = self.http.perdura.media / path
        file.unlink(missing_ok=True)
        answer = self.http.get(url_of(path))
        assert (answer.status, answer.body) == (200, self.stored[path]), (path, answer)
        assert answer["X-Evil"] is None
        wait_until(lambda: file.exists() or not self.http.get(url_of(path)), WAIT_S, f"the file {path}")
        return answer["X-Cache-Tier"]

    def put_into_redis(self, path: str) -> None:
        def is_there() -> bool:
            self.get(path)
            return bool(self.redis("EXISTS", key_of(path)))

        wait_until(is_there, WAIT_S, f"{path} in Redis")

    def comes_from_redis(self, path: str) -> None:
        def comes() -> bool:
            self.put_into_redis(path)
            return self.get(path) == "redis"

        wait_until(comes, WAIT_S, f"{path} from Redis")


@pytest.mark.parametrize("part", range(4))
def test_rows(hostile: HostileRedis, redis: Redis, serve: Callable[..., Served], part: int) -> None:
    http = serve(REDIS_URL=hostile.url, **{**SETTINGS, "PERDURA_REDIS_TIMEOUT": "500"})  # and 1 s is left for the database
    shop = Shop(http, redis, 3)
    shop.comes_from_redis("0.png")
    for name, mangle in list(ROWS.items())[part::4]:
        lines = http.shown().count("redis unavailable")
        shop.put_into_redis("1.png")
        hostile.mangle = mangle
        asked = hostile.count("HMGET")
        for _ in range(3):
            assert shop.get("1.png") != "redis", name
        assert hostile.count("HMGET") > asked, f"{name}: Redis was not asked"
        assert http.process.poll() is None, f"{name}: {http.shown()}"
        assert http.shown().count("redis unavailable") <= lines + 4, f"{name}: {http.shown()}"
        hostile.mangle = lambda command, reply: [reply]
        wait_until(lambda: state(http)["state"] == "up", WAIT_S, f"Redis after {name}")
        shop.comes_from_redis("2.png")
    assert resident_bytes(http) < 100 << 20


def resident_bytes(http: Served) -> int:
    for line in Path(f"/proc/{http.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


# Writes: what it refuses is reported once, and what it has is served

WRITES: dict[str, tuple[bytes, str]] = {
    "full": (b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "full"),
    "refused": (b"-ERR it is a bad day\r\n", "refuses writes"),
    "nothing done": (b"*-1\r\n", "refuses writes"),
    "another answer": (b"+OK\r\n", "refuses writes"),
    "an error within": (array(b":1\r\n", b"-ERR value\r\n", b":1\r\n"), "refuses writes"),
}


@pytest.mark.parametrize("what", WRITES)
def test_refused_writes(hostile: HostileRedis, redis: Redis, serve: Callable[..., Served], what: str) -> None:
    said, name = WRITES[what]
    http = serve(REDIS_URL=hostile.url, **SETTINGS)
    shop = Shop(http, redis, 3)
    shop.comes_from_redis("0.png")
    hostile.mangle = lambda command, reply: [said] if command[0] == "EXEC" else [reply]
    wait_until(lambda: shop.get("1.png") and state(http)["state"] == name, WAIT_S, f"the state {name}")
    for _ in range(10):
        assert shop.get("0.png") in ("redis", "disk", "memory"), "what it has is read all the same"
        shop.get("2.png")
    wait_until(lambda: "redis refuses writes" in http.shown(), WAIT_S, "the log")
    assert http.shown().count("redis refuses writes") == 1 and "redis unavailable" not in http.shown()
    assert http.get("/ready").status == 200
    assert "\nperdura_redis_writes_refused 1\n" in http.get("/metrics").body.decode()
    if what != "full":
        return
    hostile.mangle = lambda command, reply: [reply]
    wait_until(lambda: state(http)["state"] == "up", WAIT_S, "the end of it")
    wait_until(lambda: http.shown().count("redis accepts writes again") == 1, WAIT_S, "the log")
    assert "\nperdura_redis_writes_refused 0\n" in http.get("/metrics").body.decode()


def test_a_full_redis(folder: Path, serve: Callable[..., Served]) -> None:
    with Redis(folder / "redis", maxmemory="2mb", maxmemory_policy="noeviction") as redis:
        http = serve(REDIS_URL=redis.url(), **SETTINGS)
        for number in range(8):
            path = f"{number}.png"
            assert http.put(url_of(path), images.sized("png", 500_000, number)).status == 201
            file = http.perdura.media / path
            wait_until(file.exists, WAIT_S, "the file")
            file.unlink()
            assert http.get(url_of(path)).status == 200
        wait_until(lambda: state(http)["state"] == "full", WAIT_S, "the state")
        assert "maxmemory" in state(http)["detail"]
        wait_until(lambda: "redis refuses writes" in http.shown(), WAIT_S, "the log")
        lines = [line for line in http.log if "redis" in line and "level=warn" in line]
        assert len(lines) == 1 and "maxmemory-policy" in lines[0], lines
        assert http.get("/image-cache/status").json["redis"]["state"] == "full"
        shown = http.perdura.run("status", env={"REDIS_URL": redis.url(), **SETTINGS}).stdout
        assert f"redis      up, 127.0.0.1:{redis.port}" in shown, "another process has stored nothing yet"


# At the start, before it is needed


@pytest.mark.parametrize(
    "url, told",
    [
        ("redis://no-such-host.invalid:6379/0", "no-such-host.invalid"),
        ("redis://127.0.0.1:1/0", "127.0.0.1:1"),
        ("redis+sentinel://no-such-host.invalid:26379/mymaster/0", "no-such-host.invalid"),
        ("unix:///no/such/socket", "/no/such/socket"),
    ],
)
def test_one_that_cannot_be_reached_is_reported_at_once(serve: Callable[..., Served], url: str, told: str) -> None:
    http = serve(REDIS_URL=url)
    wait_until(lambda: "redis unavailable" in http.shown(), WAIT_S, "the log")
    (line,) = [line for line in http.log if "redis unavailable" in line]
    assert told in line and "error=" in line
    wait_until(lambda: state(http)["state"] == "down", WAIT_S, "the state")
    assert told in state(http)["detail"]


@pytest.mark.parametrize(
    "mode, told", [("cluster", "Redis Cluster"), ("sentinel", "redis+sentinel://")], ids=["cluster", "sentinel"]
)
def test_a_server_of_another_mode_is_reported(
    hostile: HostileRedis, serve: Callable[..., Served], mode: str, told: str
) -> None:
    def another_mode(command: list[str], reply: bytes) -> list[bytes]:
        text = reply.partition(b"\r\n")[2][:-2].replace(b"redis_mode:standalone", b"redis_mode:" + mode.encode())
        return [bulk(text)] if command[0] == "INFO" else [reply]

    hostile.mangle = another_mode
    http = serve(REDIS_URL=hostile.url, **SETTINGS)
    wait_until(lambda: "redis unavailable" in http.shown(), WAIT_S, "the log")
    assert told in state(http)["detail"]
    assert http.put(url_of("a.png"), OTHER).status == 201 and http.get(url_of("a.png")).body == OTHER


# Sentinels

SENTINEL: dict[str, list] = {
    "knows none": [array()],
    "nil": [b"*-1\r\n"],
    "an error": [b"-IDONTKNOW\r\n"],
    "a text": [b"+OK\r\n"],
    "numbers": [array(b":1\r\n", b":2\r\n")],
    "a port of no number": [array(bulk(b"127.0.0.1"), bulk(b"port"))],
    "port 0": [array(bulk(b"127.0.0.1"), bulk(b"0"))],
    "a port beyond all numbers": [array(bulk(b"127.0.0.1"), bulk(b"9" * 30))],
    "a long host": [array(bulk(b"x" * 5000), bulk(b"1"))],
    "a host of no name": [array(bulk(b"a b\r\nc"), bulk(b"1"))],
    "no host": [array(bulk(b""), bulk(b"1"))],
    "nobody there": [array(bulk(b"127.0.0.1"), bulk(b"1"))],
    "a million elements": [b"*1000000\r\n", HANG],
    "2 GiB": [b"*2\r\n$2147483647\r\n", HANG],
    "no protocol": [b"HTTP/1.1 400 Bad Request\r\n\r\n", CLOSE],
    "closed": [CLOSE],
}


def test_sentinels(hostile: HostileRedis, redis: Redis, serve: Callable[..., Served]) -> None:
    """That answer anything: Redis is found as soon as one tells where it is."""
    right = array(bulk(b"127.0.0.1"), bulk(str(redis.port).encode()))
    rows = iter(SENTINEL.items())
    told: list[str] = []

    def answer(command: list[str], reply: bytes) -> Iterable:
        name, steps = next(rows, ("right", [right]))
        told.append(name)
        return steps

    hostile.mangle = answer
    http = serve(REDIS_URL=f"redis+sentinel://127.0.0.1:{hostile.port}/mymaster/0", **SETTINGS)
    port = http.port
    http.put(url_of("a.png"), OTHER)
    for _ in SENTINEL:  # each look is the keeper's: its pauses are not waited for, by an instance each
        wait_until(lambda: "redis unavailable" in http.shown() or "right" in told, WAIT_S, "the log")
        if "right" in told:
            break
        assert http.process.poll() is None and http.get(url_of("a.png")).body == OTHER
        http.stop()
        http = serve(REDIS_URL=f"redis+sentinel://127.0.0.1:{hostile.port}/mymaster/0", **SETTINGS)
    assert port and told[: len(SENTINEL)] == list(SENTINEL)
    wait_until(lambda: state(http)["state"] == "up", WAIT_S, "Redis")
