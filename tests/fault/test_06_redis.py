"""Redis goes, hangs, fills up, comes back another one, during load: no request fails, nothing stale is served, and it
is used again by itself.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import images
import pytest
from conftest import Served
from http_client import url_of
from servers import Redis, wait_until

IMAGES = 8
CLIENTS = 4
RECOVERY_S = 60
OTHER_KEYS = 1_000_000
SCANNED_MAX = 1000  # keys, by one command
OWED_MAX = 4096


class Load:
    """Clients that take files away and ask for their images, again and again."""

    def __init__(self, http: Served) -> None:
        self.http = http
        self.tiers: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.slowest_s = 0.0
        self._end = threading.Event()
        self.stored = {f"load{i}.png": images.sized("png", 20_000, ("load", i)) for i in range(IMAGES)}
        for path, data in self.stored.items():
            assert http.put(url_of(path), data).status == 201
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, index: int) -> None:
        paths = list(self.stored)
        while not self._end.is_set():
            index = (index + 1) % len(paths)
            path = paths[index]
            (self.http.perdura.media / path).unlink(missing_ok=True)
            begin = time.monotonic()
            answer = self.http.get(url_of(path))
            self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
            if answer.status != 200 or answer.body != self.stored[path]:
                self.wrong.append(f"{path}: {answer.status} {answer.body[:200]!r}")
            self.tiers[answer["X-Cache-Tier"] or ""] += 1

    def more(self, tier: str, count: int = 20) -> None:
        """So many more answers came from there."""
        until = self.tiers[tier] + count
        wait_until(lambda: self.tiers[tier] >= until or self.wrong, RECOVERY_S, f"answers from {tier}")

    def requests(self, count: int) -> None:
        until = self.tiers.total() + count
        wait_until(lambda: self.tiers.total() >= until or self.wrong, RECOVERY_S, "answers")


@pytest.fixture
def redis(folder: Path) -> Iterator[Redis]:
    with Redis(folder / "redis", password="geheim") as redis:
        yield redis


@pytest.fixture
def http(redis: Redis, serve: Callable[..., Served]) -> Served:
    return serve(REDIS_URL=redis.url())


@pytest.fixture
def patient(redis: Redis, serve: Callable[..., Served]) -> Served:
    """For whom a busy machine is no outage."""
    return serve(REDIS_URL=redis.url(), PERDURA_REDIS_TIMEOUT="2000")


@contextmanager
def load(http: Served) -> Iterator[Load]:
    with Load(http) as running:
        running.more("redis")
        yield running
        running.more("redis")
    assert not running.wrong, running.wrong[:5]


def path_key(path: str) -> str:
    return f"image:path:media:{path}"


def redis_state(http: Served) -> str:
    return http.get("/ready").json["redis"]["state"]


def await_state(http: Served, state: str) -> None:
    wait_until(lambda: redis_state(http) == state, RECOVERY_S, f"Redis {state}")


def read_cold(http: Served, path: str) -> tuple[bytes, str | None]:
    (http.perdura.media / path).unlink(missing_ok=True)
    answer = http.get(url_of(path))
    assert answer.status == 200
    return answer.body, answer["X-Cache-Tier"]


def is_master(redis: Redis) -> bool:
    try:
        return bool(redis("ROLE")[0] == b"master")
    except OSError:  # who promotes it cuts its clients
        return False


def put_into_redis(http: Served, redis: Redis, path: str, data: bytes) -> None:
    assert http.put(url_of(path), data).status in (200, 201)
    digest = hashlib.sha256(data).hexdigest().encode()
    wait_until(
        lambda: read_cold(http, path) and redis("HGET", path_key(path), "sha256") == digest,
        RECOVERY_S,
        "the image in Redis",
    )


# During load


def test_killed(http: Served, redis: Redis) -> None:
    with load(http) as running:
        redis.kill()
        running.more("db", 100)
        assert http.get("/ready").status == 200
        await_state(http, "down")
        redis.start()


def test_restarted_at_once(http: Served, redis: Redis) -> None:
    with load(http) as running:
        for _ in range(3):
            redis.kill()
            redis.start()
            running.requests(50)


def test_frozen(http: Served, redis: Redis) -> None:
    with load(http) as running:
        await_state(http, "up")
        busy_s, running.slowest_s = running.slowest_s, 0.0
        before = http.get("/ready").json["redis"]["errors"]
        redis.sigstop()
        running.more("db", 100)
        await_state(http, "down")
        assert running.slowest_s < 1.5 + 3 * busy_s  # the time limit, once, and a busy machine
        # Those under way, and probes: not each request.
        assert http.get("/ready").json["redis"]["errors"] - before < 20
        redis.sigcont()


def test_flushed(http: Served, redis: Redis) -> None:
    with load(http) as running:
        for _ in range(5):
            redis("FLUSHALL")
            running.requests(50)


def test_full(patient: Served, redis: Redis) -> None:
    with load(patient) as running:
        redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
        redis("CONFIG", "SET", "maxmemory", "1mb")
        redis("FLUSHALL")
        running.more("db", 100)
        await_state(patient, "full")  # it reads and drops
        assert patient.put(url_of("load0.png"), running.stored["load0.png"]).status == 200
        redis("CONFIG", "SET", "maxmemory", "0")


def test_restarted_with_another_password(http: Served, redis: Redis) -> None:
    with load(http) as running:
        right = redis.password
        redis.kill()
        redis.password = "another"
        redis.start()
        running.more("db", 100)
        await_state(http, "down")
        wait_until(lambda: "WRONGPASS" in http.get("/ready").json["redis"]["detail"], RECOVERY_S, "the reason")
        redis.kill()
        redis.password = right
        redis.start()
    assert "another" not in http.shown() and "geheim" not in http.shown()


def test_read_only(patient: Served, redis: Redis) -> None:
    with load(patient) as running:
        for path in running.stored:
            wait_until(lambda: redis("EXISTS", path_key(path)), RECOVERY_S, f"{path} in Redis")  # noqa: B023
        running.more("redis", 50)  # nothing waits to be put any more: a write that is refused ends the reading, too
        redis("REPLICAOF", "127.0.0.1", "1")
        running.more("redis", 50)  # it can be read
        patient.post("/image-cache/invalidate", {"path": "none.png"})
        await_state(patient, "down")
        running.more("db", 50)
        redis("REPLICAOF", "NO", "ONE")


def test_sentinel_failover(folder: Path, serve: Callable[..., Served]) -> None:
    with Redis(folder / "one") as one, Redis(folder / "two", replicaof=f"127.0.0.1 {one.port}") as two:
        lines = f"sentinel monitor mymaster 127.0.0.1 {one.port} 1\n"
        lines += "sentinel down-after-milliseconds mymaster 3000\nsentinel failover-timeout mymaster 3000\n"
        with Redis(folder / "sentinel", sentinel=lines) as sentinel:
            wait_until(lambda: two("INFO", "replication").count(b"master_link_status:up"), RECOVERY_S, "replication")
            wait_until(lambda: sentinel("SENTINEL", "replicas", "mymaster"), RECOVERY_S, "Sentinel's look at it")
            hosts = f"127.0.0.1:{sentinel.port},127.0.0.1:1"
            http = serve(REDIS_URL=f"redis+sentinel://{hosts}/mymaster/0")
            with load(http) as running:
                one.kill()
                running.more("db", 50)
                wait_until(lambda: is_master(two), RECOVERY_S, "the failover")
            assert two("DBSIZE") > 0
            assert http.get("/ready").json["redis"]["server"] == f"127.0.0.1:{two.port}"


# Nothing stale


@pytest.fixture
def old_and_new() -> tuple[bytes, bytes]:
    return images.make("png", "old"), images.make("png", "new")


def test_what_changed_while_it_was_frozen_is_not_served(
    http: Served, redis: Redis, old_and_new: tuple[bytes, bytes]
) -> None:
    old, new = old_and_new
    put_into_redis(http, redis, "a.png", old)
    busy_s = max(http.put(url_of("b.png"), data).seconds for data in (old, new, old))
    redis.sigstop()
    answer = http.put(url_of("a.png"), new)
    assert answer.status == 200 and answer.seconds < 1.5 + 3 * busy_s  # PERDURA_REDIS_TIMEOUT, and a busy machine
    assert read_cold(http, "a.png")[0] == new
    redis.sigcont()
    while redis_state(http) != "up":
        assert read_cold(http, "a.png")[0] == new
    assert redis("HGET", path_key("a.png"), "data") != old
    wait_until(lambda: read_cold(http, "a.png") == (new, "redis"), RECOVERY_S, "the new one from Redis")


def test_what_an_old_dump_brings_back_is_not_served(
    http: Served, redis: Redis, old_and_new: tuple[bytes, bytes]
) -> None:
    old, new = old_and_new
    put_into_redis(http, redis, "a.png", old)
    redis("SAVE")
    assert http.put(url_of("a.png"), new).status == 200  # and dropped from Redis, which forgets that it was
    redis.kill()
    redis.start()
    assert redis("HGET", path_key("a.png"), "data") in (old, None)
    for _ in range(20):
        assert read_cold(http, "a.png")[0] == new
    await_state(http, "up")
    assert redis("HGET", path_key("a.png"), "data") != old
    wait_until(lambda: read_cold(http, "a.png") == (new, "redis"), RECOVERY_S, "the new one from Redis")


def test_more_changes_than_are_remembered(http: Served, redis: Redis, old_and_new: tuple[bytes, bytes]) -> None:
    old, new = old_and_new
    put_into_redis(http, redis, "a.png", old)
    redis.sigstop()
    assert http.put(url_of("a.png"), new).status == 200
    connection = http.connect()
    for i in range(OWED_MAX + 10):
        http.on(connection, "PURGE", url_of(f"other/{i}.png"))
    connection.close()
    assert http.get("/ready").json["redis"]["owed_drops"] <= OWED_MAX
    redis.sigcont()
    await_state(http, "up")
    assert redis("KEYS", "image:*") == []
    assert http.get("/ready").json["redis"]["owed_drops"] == 0


# Many keys


def command_calls(redis: Redis) -> dict[str, int]:
    """How often each command was sent."""
    stats = redis("INFO", "commandstats").decode()
    return {name: int(calls) for name, calls in re.findall(r"cmdstat_(\w+):calls=(\d+)", stats)}


def test_a_pattern_among_a_million_keys_holds_up_nobody(patient: Served, redis: Redis) -> None:
    """Redis works at one command at a time, so each of ours looks at few keys. (How long one takes says little: Redis
    counts the time for which it waits for a core, too.)"""
    redis("EVAL", f"for i = 1, {OTHER_KEYS} do redis.call('SET', 'other:' .. i, i) end", 0)

    def is_swept() -> bool:
        """When it does not answer in time it counts as down, and what it has is dropped."""
        await_state(patient, "up")
        for i in range(200):
            redis("HSET", f"image:artist:{i}:cover", "data", "x", "collection", "media", "path", f"{i}.png")
            redis("HSET", path_key(f"{i}.png"), "see", f"image:artist:{i}:cover")
        redis("CONFIG", "RESETSTAT")
        answer = patient.request("POST", "/image-cache/invalidate", {"pattern": "image:artist:*"})
        return answer.json["invalidated"] == 200

    wait_until(is_swept, RECOVERY_S, "a sweep that finds all")
    calls = command_calls(redis)
    assert calls["scan"] >= OTHER_KEYS / SCANNED_MAX
    assert calls["unlink"] >= 200  # a key each
    assert not {"keys", "flushdb", "flushall", "eval", "evalsha", "del"} & set(calls)
    assert redis("DBSIZE") == OTHER_KEYS
    assert redis("EXISTS", path_key("7.png")) == 0
