"""Redis: what is put there and how long, what is read from there, how it is reached, what is refused."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import images
import pytest
from conftest import Perdura, Served
from http_client import Answer, metric, url_of
from servers import Redis, wait_until

TTL_S = 300
WAIT_S = 60
PATIENT = {"PERDURA_REDIS_TIMEOUT": "2000"}  # a busy machine is no outage
ENTITY = "?content_type=artist&object_id=42&variant=background"
ENTITY_KEY = "image:artist:42:background"


@pytest.fixture(scope="module")
def shared(session_folder: Path) -> Iterator[Redis]:
    with Redis(session_folder / "redis") as redis:
        yield redis


@pytest.fixture
def redis(shared: Redis) -> Redis:
    shared("FLUSHALL")
    return shared


@pytest.fixture
def cached(redis: Redis, serve: Callable[..., Served]) -> Served:
    return serve(REDIS_URL=redis.url(), **PATIENT)


def path_key(path: str) -> str:
    return f"image:path:media:{path}"


def chill(http: Served, path: str) -> None:
    """Takes the file away, once it is there for good."""
    file = http.perdura.media / path
    wait_until(file.exists, WAIT_S, f"the file {path}")
    file.unlink()


def refill(http: Served, path: str) -> None:
    """Its file is there again. A copy that came while the watcher looked at the last one is not kept."""
    file = http.perdura.media / path
    wait_until(lambda: file.exists() or not http.get(url_of(path)), WAIT_S, f"the file {path}")


def get_cold(http: Served, path: str) -> Answer:
    chill(http, path)
    answer = http.get(url_of(path))
    if answer.status == 200:
        refill(http, path)
    return answer


def put_and_hear(http: Served, url: str, data: bytes) -> Answer:
    """Stored, and what the service's own feed takes out of Redis for that is taken out."""
    wait_until(lambda: metric(http, "perdura_feed_listening"), WAIT_S, "the feed")
    before = metric(http, "perdura_feed_changes_total")
    answer = http.put(url, data)
    if answer.status in (200, 201) and not answer.json["unchanged"]:
        wait_until(lambda: metric(http, "perdura_feed_changes_total") > before, WAIT_S, "the feed's word of it")
    return answer


def put(http: Served, path: str, data: bytes, query: str = "") -> None:
    assert put_and_hear(http, url_of(path) + query, data).status in (200, 201)


def store_in_redis(
    http: Served, redis: Redis, path: str, data: bytes, query: str = "", fence: bool = True
) -> None:
    """Stored, asked for once, and put into Redis behind the answer. Where it was asked for more than once it may be put
    more than once: a fence is put by the same thread behind all of that."""
    put(http, path, data, query)

    def is_there() -> bool:
        """A change that is heard of while it is put takes it away once more."""
        assert get_cold(http, path).body == data
        return bool(redis("EXISTS", path_key(path)))

    wait_until(is_there, WAIT_S, "the image in Redis")
    if fence:
        store_in_redis(http, redis, "fence.png", images.make("png", "fence"), fence=False)
        redis("DEL", path_key("fence.png"))


def from_tier(http: Served, path: str, data: bytes, tier: str) -> None:
    """A copy that comes late, or is still at hand, costs another look."""
    late = {"redis": ("disk", "memory", "db"), "db": ("disk", "memory")}[tier]

    def cold_answer() -> Answer | None:
        answer = get_cold(http, path)
        assert (answer.status, answer.body) == (200, data)
        return None if answer["X-Cache-Tier"] in late else answer

    assert wait_until(cold_answer, WAIT_S, f"an answer from {tier}")["X-Cache-Tier"] == tier


def state(http: Served) -> dict:
    return http.get("/ready").json["redis"]


# What is there


def test_an_image_is_put_with_its_fields_and_a_time_to_live(cached: Served, redis: Redis) -> None:
    data = images.make("png", "one")
    began = time.monotonic()
    store_in_redis(cached, redis, "a/one.png", data)
    key = path_key("a/one.png")
    values = redis("HMGET", key, "data", "content_type", "sha256", "size", "path", "collection")
    digest = hashlib.sha256(data).hexdigest().encode()
    assert values == [data, b"image/png", digest, str(len(data)).encode(), b"a/one.png", b"media"]
    assert redis("HGET", key, "updated_at").startswith(b"20")
    left_ms, passed_ms = redis("PTTL", key), (time.monotonic() - began) * 1000
    assert 0.89 * TTL_S * 1000 - passed_ms <= left_ms <= TTL_S * 1000
    from_tier(cached, "a/one.png", data, "redis")


def test_the_bytes_of_an_entitys_image_lie_once(cached: Served, redis: Redis) -> None:
    data = images.make("jpeg", "artist")
    store_in_redis(cached, redis, "covers/42.jpg", data, ENTITY)
    assert redis("HGETALL", path_key("covers/42.jpg")) == [b"see", ENTITY_KEY.encode()]
    assert redis("HGET", ENTITY_KEY, "data") == data
    assert redis("HMGET", ENTITY_KEY, "content_type", "size") == [b"image/jpeg", str(len(data)).encode()]
    assert 0 < redis("TTL", ENTITY_KEY) <= TTL_S
    from_tier(cached, "covers/42.jpg", data, "redis")


def test_an_entity_that_was_asked_for_once_is_there(cached: Served, redis: Redis) -> None:
    """Though its file was on disk, and the bytes came from there."""
    old, new = images.make("png", "old"), images.make("png", "new")
    url = "/api/images/artist/42/background"
    assert put_and_hear(cached, url, old).status == 201
    assert cached.get(url).body == old
    wait_until(lambda: redis("EXISTS", ENTITY_KEY), WAIT_S, "the entity in Redis")
    assert 0 < redis("TTL", ENTITY_KEY) <= TTL_S
    assert redis("HMGET", ENTITY_KEY, "content_type", "size", "data") == [b"image/png", str(len(old)).encode(), old]
    assert put_and_hear(cached, url, new).status == 200
    assert redis("HGET", ENTITY_KEY, "data") in (None, new)
    assert cached.get(url).body == new
    wait_until(lambda: redis("HGET", ENTITY_KEY, "data") == new, WAIT_S, "the new image in Redis")
    assert cached.post("/image-cache/invalidate", {"pattern": "image:artist:42:*"}).status == 200
    assert not redis("EXISTS", ENTITY_KEY)


def test_an_entity_is_found_there(cached: Served, redis: Redis) -> None:
    data = images.make("jpeg", "artist")
    put(cached, "covers/42.jpg", data, ENTITY)
    chill(cached, "covers/42.jpg")
    assert cached.get("/api/images/artist/42/background").body == data
    wait_until(lambda: redis("EXISTS", ENTITY_KEY), WAIT_S, "the entity in Redis")

    def comes_from_redis() -> bool:
        refill(cached, "covers/42.jpg")
        chill(cached, "covers/42.jpg")
        answer = cached.get("/api/images/artist/42/background")
        assert answer.body == data
        return answer["X-Cache-Tier"] == "redis"

    wait_until(comes_from_redis, WAIT_S, "the image from Redis")


def test_without_the_database_what_is_there_is_served(cached: Served, redis: Redis) -> None:
    data = images.make("jpeg", "artist")
    store_in_redis(cached, redis, "covers/42.jpg", data, ENTITY)
    server = cached.perdura.database.server
    server.stop()
    for url in (url_of("covers/42.jpg"), "/api/images/artist/42/background"):
        (cached.perdura.media / "covers/42.jpg").unlink(missing_ok=True)
        answer = cached.get(url)
        assert (answer.status, answer.body) == (200, data)
    assert cached.get("/api/images/artist/43/background").status == 503
    server.start()


def test_what_is_about_to_expire_is_put_anew(cached: Served, redis: Redis) -> None:
    data = images.make("png", "early")
    store_in_redis(cached, redis, "early.png", data)
    key = path_key("early.png")
    redis("PEXPIRE", key, 100_000)
    redis("HSET", key, "fetch_us", 10**15)  # as if reading it took years: all but surely within its last 100 s
    from_tier(cached, "early.png", data, "redis")
    wait_until(lambda: redis("PTTL", key) > 100_000, WAIT_S, "a new time to live")
    assert redis("HGET", key, "data") == data
    assert int(redis("HGET", key, "fetch_us")) < 10**9


def test_an_adaptive_time_to_live(redis: Redis, serve: Callable[..., Served]) -> None:
    http = serve(REDIS_URL=redis.url(), PERDURA_ADAPTIVE_TTL="on", PEAK_TTL="5000", DEFAULT_TTL="5000", **PATIENT)
    store_in_redis(http, redis, "ttl.png", images.make("png", "ttl"))
    assert 4490 <= redis("TTL", path_key("ttl.png")) <= 5000


@pytest.mark.parametrize("query", ["", ENTITY])
def test_a_new_content_takes_the_old_one_away(cached: Served, redis: Redis, query: str) -> None:
    old, new = images.make("jpeg", "old"), images.make("jpeg", "new")
    store_in_redis(cached, redis, "c.jpg", old, query)
    put(cached, "c.jpg", new)
    assert not redis("EXISTS", path_key("c.jpg"))
    assert not redis("EXISTS", ENTITY_KEY)
    assert get_cold(cached, "c.jpg").body == new
    key = ENTITY_KEY if query else path_key("c.jpg")
    wait_until(lambda: redis("HGET", key, "sha256") == hashlib.sha256(new).hexdigest().encode(), WAIT_S, "the new one")


def test_a_deleted_image_is_gone(cached: Served, redis: Redis) -> None:
    store_in_redis(cached, redis, "d.png", images.make("png", "d"), ENTITY)
    assert cached.request("DELETE", url_of("d.png")).status == 204
    assert not redis("EXISTS", path_key("d.png")) and not redis("EXISTS", ENTITY_KEY)
    assert cached.get(url_of("d.png")).status == 404


def test_the_command_line_takes_the_old_one_away(cached: Served, redis: Redis) -> None:
    store_in_redis(cached, redis, "e.png", images.make("png", "old"))
    file = cached.perdura.folder / "e.png"
    file.write_bytes(images.make("png", "new"))
    cached.perdura.run("put", file, env={"REDIS_URL": redis.url(), **PATIENT})
    assert not redis("EXISTS", path_key("e.png"))


def test_an_image_assigned_to_another_entity_leaves_the_old_one(cached: Served, redis: Redis) -> None:
    data = images.make("png", "f")
    store_in_redis(cached, redis, "f.png", data, ENTITY)
    put(cached, "f.png", data, "?content_type=album&object_id=1&variant=cover")
    assert not redis("EXISTS", ENTITY_KEY)
    assert get_cold(cached, "f.png").body == data
    wait_until(lambda: redis("EXISTS", "image:album:1:cover"), WAIT_S, "the new entity in Redis")


@pytest.mark.parametrize(
    "what",
    [
        {"path": "x/0.png"},
        {"pattern": "image:path:media:x/*"},
        {"pattern": "image:artist:42:*"},
        {"content_type": "artist", "object_id": "42"},
    ],
)
def test_an_invalidation_reaches_redis(cached: Served, redis: Redis, what: dict) -> None:
    store_in_redis(cached, redis, "x/0.png", images.make("png", 0), ENTITY)
    store_in_redis(cached, redis, "y.png", images.make("png", 1))
    assert cached.request("POST", "/image-cache/invalidate", what).json["invalidated"] >= 1
    assert not redis("EXISTS", path_key("x/0.png")) and not redis("EXISTS", ENTITY_KEY)
    assert redis("EXISTS", path_key("y.png"))


def test_an_entity_is_invalidated_by_its_name_whatever_that_is(cached: Served, redis: Redis) -> None:
    store_in_redis(cached, redis, "a.png", images.make("png", 0), "?content_type=artist&object_id=a%5B1%5D%2A&variant=cover")
    store_in_redis(cached, redis, "b.png", images.make("png", 1), "?content_type=artist&object_id=a1&variant=cover")
    what = {"content_type": "artist", "object_id": "a[1]*", "variant": "cover"}
    assert cached.request("POST", "/image-cache/invalidate", what).json["invalidated"] >= 1
    assert not redis("EXISTS", "image:artist:a[1]*:cover")
    assert redis("EXISTS", "image:artist:a1:cover")
    cached.request("POST", "/image-cache/invalidate", {"content_type": "x" * 9000}).problem(400)


def test_the_program_invalidates_just_the_entity_that_it_is_told(cached: Served, redis: Redis) -> None:
    ids = {"a[1]*?\\": "a%5B1%5D%2A%3F%5C", "a1x": "a1x", "a[1]xyz": "a%5B1%5Dxyz"}
    keys = {object_id: f"image:artist:{object_id}:cover" for object_id in ids}
    for number, (object_id, encoded) in enumerate(ids.items()):
        entity = f"?content_type=artist&object_id={encoded}&variant=cover"
        store_in_redis(cached, redis, f"{number}.png", images.make("png", number), entity)
        assert redis("EXISTS", keys[object_id])
    cached.perdura.run("invalidate", "--entity", "artist/a[1]*?\\")
    wait_until(lambda: not redis("EXISTS", keys["a[1]*?\\"]), WAIT_S, "the entity's end in Redis")
    assert redis("EXISTS", keys["a1x"]) and redis("EXISTS", keys["a[1]xyz"])
    cached.perdura.run("invalidate", "--entity", "artist/*/cover")
    cached.perdura.run("invalidate", "--entity", "artist/a1x/cover")
    wait_until(lambda: not redis("EXISTS", keys["a1x"]), WAIT_S, "the other's end in Redis")
    assert redis("EXISTS", keys["a[1]xyz"])
    assert cached.perdura.run("invalidate", "--entity", "x" * 9000, check=False).code == 2


def test_other_keys_are_left_alone(cached: Served, redis: Redis) -> None:
    redis("SET", "session:1", "kept")
    store_in_redis(cached, redis, "g.png", images.make("png", 0))
    assert cached.request("POST", "/image-cache/invalidate", {"pattern": "*"}).status == 200
    assert not redis("EXISTS", path_key("g.png"))
    assert redis("GET", "session:1") == b"kept"


# What is refused


def damage_is_a_miss(http: Served, redis: Redis, path: str, data: bytes, damage: tuple[str, ...]) -> None:
    """What was on its way to Redis may come behind the damage, and mend it: then it is done once more."""

    def missed() -> bool:
        redis(damage[0], path_key(path), *damage[1:])
        answer = get_cold(http, path)
        assert (answer.status, answer.body) == (200, data)
        return answer["X-Cache-Tier"] == "db"

    wait_until(missed, WAIT_S, "a miss")


@pytest.mark.parametrize(
    "damage",
    [
        ("HSET", "data", "no image"),
        ("HSET", "sha256", "0" * 64),
        ("HSET", "sha256", "short"),
        ("HSET", "size", "-1"),
        ("HSET", "content_type", "text/html"),
        ("HSET", "encoding", "zstd"),
        ("HDEL", "content_type"),
        ("HDEL", "data"),
        ("HSET", "path", "another.png"),
        ("HSET", "see", "image:nothing"),
    ],
)
def test_a_damaged_hash_is_a_miss(cached: Served, redis: Redis, damage: tuple[str, ...]) -> None:
    data = images.make("png", "h")
    store_in_redis(cached, redis, "h.png", data)
    damage_is_a_miss(cached, redis, "h.png", data, damage)
    wait_until(lambda: redis("HGET", path_key("h.png"), "data") == data, WAIT_S, "the image in Redis again")
    from_tier(cached, "h.png", data, "redis")


@pytest.mark.parametrize("command", [("SET", "a string"), ("RPUSH", "a list")])
def test_a_key_of_another_type_is_a_miss(cached: Served, redis: Redis, command: tuple[str, str]) -> None:
    data = images.make("png", "i")
    put(cached, "i.png", data)
    redis(command[0], path_key("i.png"), command[1])
    from_tier(cached, "i.png", data, "db")
    wait_until(lambda: redis("TYPE", path_key("i.png")) == "hash", WAIT_S, "the image in Redis")


def test_too_large_an_image_is_not_put(redis: Redis, serve: Callable[..., Served]) -> None:
    http = serve(REDIS_URL=redis.url(), PERDURA_REDIS_MAX_BYTES="8 KiB", **PATIENT)
    large, fits = images.sized("png", 8193, "large"), images.sized("png", 8192, "fits")
    put(http, "large.png", large)
    assert get_cold(http, "large.png").body == large
    store_in_redis(http, redis, "fits.png", fits, fence=False)  # by one thread, in order
    assert redis("KEYS", "*") == [path_key("fits.png").encode()]


@pytest.mark.parametrize("size", [300_000, 1 << 20])
def test_a_large_image_comes_whole(cached: Served, redis: Redis, size: int) -> None:
    data = images.sized("png", size, size)
    store_in_redis(cached, redis, "big.png", data)
    from_tier(cached, "big.png", data, "redis")


@pytest.mark.parametrize("kind, compressed", [("svg", True), ("bmp", True), ("tiff", True), ("png", False)])
def test_zstd(redis: Redis, serve: Callable[..., Served], kind: str, compressed: bool) -> None:
    http = serve(REDIS_URL=redis.url(), PERDURA_COMPRESS="zstd", **PATIENT)
    path, data = f"z.{images.ENDINGS[kind][0]}", images.make(kind, "z")
    if kind == "svg":
        data += b"<!--" + b"a" * 4000 + b"-->"
    store_in_redis(http, redis, path, data)
    key = path_key(path)
    assert redis("HGET", key, "encoding") == (b"zstd" if compressed else None)
    assert (redis("HSTRLEN", key, "data") < len(data)) == compressed
    if compressed:
        raw = redis("HGET", key, "data")
        assert subprocess.run(["zstd", "-dc"], input=raw, capture_output=True, check=True).stdout == data
    from_tier(http, path, data, "redis")
    plain = serve(REDIS_URL=redis.url(), **PATIENT)  # reads what others compress
    from_tier(plain, path, data, "redis")


# How it is reached


def test_it_is_told_about(cached: Served, redis: Redis) -> None:
    store_in_redis(cached, redis, "s.png", images.make("png", "s"))
    assert state(cached)["state"] == "up"
    assert cached.get("/image-cache/status").json["redis"]["state"] == "up"
    text = cached.get("/metrics").body.decode()
    for line in ("perdura_redis_breaker_open 0", "perdura_redis_owed_drops 0", 'perdura_tier_up{tier="redis"} 1'):
        assert f"\n{line}\n" in text
    env = {"REDIS_URL": redis.url(), **PATIENT}
    assert f"redis      up, 127.0.0.1:{redis.port}" in cached.perdura.run("status", env=env).stdout
    assert cached.perdura.run("status", "--json", env=env).json["redis"]["state"] == "up"


def test_without_redis_nothing_is_said(http: Served) -> None:
    assert http.get("/ready").json["redis"] is None
    assert 'perdura_tier_up{tier="redis"}' not in http.get("/metrics").body.decode()


@pytest.mark.parametrize("password, user", [("geheim", ""), ("a b:c@d/e?f#g%h&", ""), ("geheim", "default")])
def test_a_password(folder: Path, serve: Callable[..., Served], password: str, user: str) -> None:
    with Redis(folder / "redis", password=password) as redis:
        url = redis.url(3).replace("redis://:", f"redis://{user}:")
        http = serve(REDIS_URL=url, **PATIENT)
        put(http, "p.png", images.make("png", "p"))
        get_cold(http, "p.png")
        with redis.client() as client:
            client("SELECT", 3)
            wait_until(lambda: client("EXISTS", path_key("p.png")), WAIT_S, "the image in database 3")


def test_through_a_socket(folder: Path, serve: Callable[..., Served]) -> None:
    with tempfile.TemporaryDirectory(prefix="perdura-test-", dir="/tmp") as short:  # a socket's path has 107 bytes
        path = f"{short}/redis.sock"
        with Redis(folder / "redis", password="a/b", unixsocket=path, unixsocketperm="700") as redis:
            http = serve(REDIS_URL=f"unix://:a%2Fb@{path}?db=0", **PATIENT)
            data = images.sized("png", 300_000, "s")
            store_in_redis(http, redis, "s.png", data)
            from_tier(http, "s.png", data, "redis")
            assert state(http)["server"] == path
            redis.kill()
            assert get_cold(http, "s.png").body == data
            assert state(http)["state"] == "down" and path in state(http)["detail"]
            redis.start()
            wait_until(lambda: state(http)["state"] == "up", WAIT_S, "Redis found again")
            other = serve(REDIS_URL=f"unix://:a%2Fb@{path}?db=3", **PATIENT)
            put(other, "d.png", data)
            get_cold(other, "d.png")
            with redis.client() as client:
                client("SELECT", 3)
                wait_until(lambda: client("EXISTS", path_key("d.png")), WAIT_S, "the image in database 3")


def test_host_port_and_password_apart(folder: Path, serve: Callable[..., Served]) -> None:
    with Redis(folder / "redis", password="geheim") as redis:
        http = serve(
            REDIS_HOST="127.0.0.1", REDIS_PORT=str(redis.port), REDIS_PASSWORD="geheim", REDIS_CACHE_DB="2", **PATIENT
        )
        put(http, "p.png", images.make("png", "p"))
        get_cold(http, "p.png")
        with redis.client() as client:
            client("SELECT", 2)
            wait_until(lambda: client("EXISTS", path_key("p.png")), WAIT_S, "the image in database 2")


def test_a_wrong_password_is_told_without_it(folder: Path, serve: Callable[..., Served]) -> None:
    with Redis(folder / "redis", password="geheim") as redis:
        http = serve(REDIS_URL=redis.url(password="falsch-1234"), **PATIENT)
        data = images.make("png", "p")
        put(http, "p.png", data)
        assert get_cold(http, "p.png").body == data
        answer = http.get("/ready")
        assert answer.status == 200 and answer.json["ready"]
        assert answer.json["redis"]["state"] == "down" and "WRONGPASS" in answer.json["redis"]["detail"]
        wait_until(lambda: "redis unavailable" in http.shown(), WAIT_S, "the log")
        assert "falsch-1234" not in http.shown() + answer.body.decode()


@pytest.fixture(scope="module")
def encrypted(session_folder: Path) -> Iterator[Redis]:
    with Redis(session_folder / "redis-tls", password="geheim", tls=True) as redis:
        yield redis


@pytest.mark.parametrize("trust", ["ca", "fingerprint", "insecure"])
def test_tls(encrypted: Redis, serve: Callable[..., Served], trust: str) -> None:
    encrypted("FLUSHALL")
    settings = {
        "ca": {"REDIS_TLS_CA": str(encrypted.certificate)},
        "fingerprint": {"REDIS_TLS_FINGERPRINT": encrypted.fingerprint()},
        "insecure": {"REDIS_TLS_INSECURE": "on"},
    }
    http = serve(REDIS_URL=encrypted.url(), **settings[trust], **PATIENT)
    data = images.sized("png", 500_000, trust)
    store_in_redis(http, encrypted, "t.png", data)
    from_tier(http, "t.png", data, "redis")


@pytest.mark.parametrize(
    "settings, why",
    [
        ({}, "self-signed"),
        ({"REDIS_TLS_FINGERPRINT": "00" * 32}, "another one than REDIS_TLS_FINGERPRINT"),
        ({"REDIS_TLS_CA": "other"}, "self-signed"),
    ],
)
def test_tls_refused(
    encrypted: Redis, folder: Path, serve: Callable[..., Served], settings: dict[str, str], why: str
) -> None:
    with closing(Redis(folder / "other", tls=True)) as other:
        if "REDIS_TLS_CA" in settings:
            settings = {"REDIS_TLS_CA": str(other.certificate)}
        http = serve(REDIS_URL=encrypted.url(), **settings, **PATIENT)
        data = images.make("png", "t")
        put(http, "t.png", data)
        assert get_cold(http, "t.png").body == data
        assert state(http)["state"] == "down" and why in state(http)["detail"]


@pytest.mark.parametrize(
    "env, told",
    [
        ({"REDIS_CACHE_TTL": "0"}, 'REDIS_CACHE_TTL: "0" (from the environment) is too small'),
        ({"REDIS_TLS_FINGERPRINT": "abc"}, "is no SHA-256; accepted: 64 hexadecimal digits"),
        ({"PERDURA_COMPRESS": "gzip"}, "accepted: off or zstd"),
    ],
)
def test_wrong_settings_exit_2(offline: Perdura, env: dict[str, str], told: str) -> None:
    result = offline.run("config", env=env, check=False)
    assert result.code == 2 and told in result.stderr and "geheim" not in result.stderr


@pytest.mark.parametrize(
    "env, told",
    [
        ({"REDIS_URL": "http://localhost"}, "REDIS_URL: the value (from the environment) does not begin with redis://"),
        ({"REDIS_URL": "redis://:geheim@host:port"}, "REDIS_URL: the value (from the environment) has a port"),
        ({"REDIS_URL": "redis+sentinel://a:1,b:2"}, "does not name the master"),
        ({"REDIS_HOST": "a:6379"}, 'REDIS_HOST: "a:6379" (from the environment) is no host'),
        ({"CACHE_DRIVER": "redis"}, "needs REDIS_URL or REDIS_HOST"),
        ({"CACHE_DRIVER": "foo"}, 'CACHE_DRIVER: "foo" (from the environment)'),
        ({"CACHE_DRIVER": "redis", "REDIS_URL": "tcp://geheim@x"}, "does not begin with redis://"),
    ],
)
def test_what_the_platform_sets_and_cannot_be_used_is_a_warning(
    serve: Callable[..., Served], env: dict[str, str], told: str
) -> None:
    http = serve(**env)
    assert told in http.shown() and "geheim" not in http.shown()
    assert http.get("/ready").json["redis"] is None
    assert http.get("/health").json["redis"] == "off"


def test_parameters_of_other_clients(offline: Perdura, encrypted: Redis, serve: Callable[..., Served]) -> None:
    url = encrypted.url() + "?ssl_cert_reqs=none&health_check_interval=30"
    http = serve(REDIS_URL=url, **PATIENT)
    wait_until(lambda: state(http)["state"] == "up", WAIT_S, "Redis")
    assert "health_check_interval" in http.shown() and "is not verified" in http.shown()
    with_db = offline.run("config", env={"REDIS_URL": "redis://h?db=3&password=geheim"})
    assert "geheim" not in with_db.stdout + with_db.stderr and "password" in with_db.stderr
    flag = offline.run("config", "--redis-url", "http://localhost", check=False)
    assert flag.code == 2, "who says it to Perdura means Perdura"


def test_what_other_programs_mean_by_these_names_is_passed_over(offline: Perdura) -> None:
    """Laravel's drivers, and the port that a link between containers sets; our own file and flags are meant for us."""
    env = {"CACHE_DRIVER": "file", "REDIS_PORT": "tcp://172.17.0.2:6379"}
    result = offline.run("config", env=env)
    assert "CACHE_DRIVER=auto" in result.stdout and "REDIS_PORT=6379" in result.stdout
    assert 'CACHE_DRIVER: "file" (from the environment)' in result.stderr and "auto counts" in result.stderr
    assert offline.run("config", "--cache-driver", "file", check=False).code == 2


def test_a_missing_ca_file_exits_2(perdura: Perdura) -> None:
    env = {"REDIS_URL": "rediss://localhost", "REDIS_TLS_CA": str(perdura.folder / "none.pem")}
    result = perdura.run("status", env=env, check=False)
    assert result.code == 2 and "none.pem" in result.stderr


def test_the_password_is_hidden(offline: Perdura) -> None:
    shown = offline.run("config", env={"REDIS_URL": "redis://u:geheim@h:1/2", "REDIS_PASSWORD": "geheim"}).stdout
    assert "REDIS_URL=redis://u:***@h:1/2" in shown and "geheim" not in shown
