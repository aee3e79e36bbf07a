"""What one instance changes, or plain SQL, the others serve within a second; two `perdura serve` on one database."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import re
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import images
import pytest
from conftest import Perdura, Served
from http_client import Answer, url_of
from pooler import PgBouncer
from proxy import DelayProxy
from servers import Redis, wait_until, within

FRESH_S = 1.0
POLLED_S = 30.0
SEEN_S = 60.0
TOGETHER_S = 0.019  # 20 ms from one read to the next, by a clock of whole ones
TIERS = ("redis", "db", "disk")
BUSY = 5
MIXED_S = float(os.environ.get("MIXED_SECONDS", "5"))
PUT_ROW = """
    INSERT INTO image_cache AS c (original_path, image_data, file_size, content_type_header, sha256)
    VALUES (%s, %s, %s, 'image/png', %s)
    ON CONFLICT (collection, original_path) DO UPDATE SET
        image_data = EXCLUDED.image_data, file_size = EXCLUDED.file_size, sha256 = EXCLUDED.sha256
"""


def picture(number: int, size: tuple[int, int] = (24, 16)) -> bytes:
    return images.make("png", number, *size)


def row_of(path: str, content: bytes) -> tuple[str, str, int, bytes]:
    return path, base64.b64encode(content).decode(), len(content), hashlib.sha256(content).digest()


class Pair:
    """Two instances with folders of their own; `b` is where changes have to arrive."""

    def __init__(self, serve: Callable[..., Served], perdura: Perdura, **env: str) -> None:
        self.perdura = perdura
        self.folders = [perdura.folder / name for name in ("a", "b")]
        for folder in self.folders:
            folder.mkdir()
        self.a, self.b = (serve(PERDURA_MEDIA_ROOT=str(folder), **env) for folder in self.folders)

    def put(self, path: str, content: bytes) -> None:
        assert self.a.put(url_of(path), content).status in (200, 201)

    def held_by_both(self, path: str, content: bytes) -> None:
        """Stored by A, and on B's disk."""
        self.put(path, content)
        file = self.folders[1] / path

        def is_there() -> bool:
            return self.b.get(url_of(path)).body == content and file.exists() and file.read_bytes() == content

        wait_until(is_there, SEEN_S, "B's file")

    def arrives(self, path: str, content: bytes | None, since: float, limit_s: float = FRESH_S) -> float:
        """B serves this (None: 404) within the limit; how long it took."""

        def is_there() -> bool:
            answer = self.b.get(url_of(path))
            return answer.status == 404 if content is None else answer.status == 200 and answer.body == content

        within(is_there, limit_s, f"B serves the new {path}")
        return time.monotonic() - since

    def stays(self, path: str, content: bytes | None) -> None:
        """And whatever B still has to do leaves it so, on disk as well."""
        file = self.folders[1] / path
        wait_until(lambda: self.b.get("/image-cache/status").json["feed"]["stale_files"] == 0, SEEN_S, "B settles")
        if content is None:
            assert not file.exists() and self.b.get(url_of(path)).status == 404
        else:
            wait_until(lambda: file.read_bytes() == content, SEEN_S, f"B's file of {path}")
            assert self.b.get(url_of(path)).body == content


@pytest.fixture
def pair(serve: Callable[..., Served], perdura: Perdura) -> Pair:
    return Pair(serve, perdura)


@pytest.fixture
def redis_server(folder: Path) -> Iterator[Redis]:
    with Redis(folder / "redis") as server:
        yield server


def feed_mode(served: Served) -> str:
    return served.get("/image-cache/status").json["feed"]["mode"]


def test_both_listen_and_say_so(pair: Pair) -> None:
    for served in (pair.a, pair.b):
        wait_until(lambda served=served: feed_mode(served) == "listening", SEEN_S, "listening")
        assert served.get("/ready").json["feed"]["lag_seconds"] == 0
        assert b"\nperdura_feed_listening 1\n" in served.get("/metrics").body
    assert pair.perdura.run("status", "--json").json["listeners"] == 2


def test_an_image_replaced_over_http(pair: Pair) -> None:
    pair.held_by_both("shop/one.png", picture(1))
    pair.put("shop/one.png", picture(2))
    pair.arrives("shop/one.png", picture(2), time.monotonic())
    pair.stays("shop/one.png", picture(2))


def test_an_image_replaced_as_a_file(pair: Pair) -> None:
    pair.held_by_both("one.png", picture(1))
    (pair.folders[0] / "one.png").write_bytes(picture(2))
    assert pair.a.post("/image-cache/flush").status == 200
    pair.arrives("one.png", picture(2), time.monotonic())
    pair.stays("one.png", picture(2))


@pytest.mark.parametrize("size", [(24, 16), (120, 80)])
def test_an_image_replaced_in_sql(pair: Pair, size: tuple[int, int]) -> None:
    pair.held_by_both("one.png", picture(1))
    other = picture(2, size)
    pair.perdura.database.query(PUT_ROW, *row_of("one.png", other))
    pair.arrives("one.png", other, time.monotonic())
    pair.stays("one.png", other)


def test_other_content_of_the_same_size_in_sql(pair: Pair) -> None:
    first = picture(1)
    second = first + b"\0"
    first += b"\1"
    pair.held_by_both("one.png", first)
    pair.perdura.database.query(PUT_ROW, *row_of("one.png", second))
    pair.arrives("one.png", second, time.monotonic())
    pair.stays("one.png", second)


def test_a_large_image(pair: Pair) -> None:
    first, second = (images.make("bmp", number, 900, 700) for number in (1, 2))
    pair.held_by_both("large.bmp", first)
    pair.put("large.bmp", second)
    pair.arrives("large.bmp", second, time.monotonic())
    pair.stays("large.bmp", second)


def test_a_deleted_image(pair: Pair) -> None:
    pair.held_by_both("shop/one.png", picture(1))
    assert pair.a.request("DELETE", url_of("shop/one.png")).status == 204
    pair.arrives("shop/one.png", None, time.monotonic())
    pair.stays("shop/one.png", None)
    pair.put("shop/one.png", picture(3))
    pair.arrives("shop/one.png", picture(3), time.monotonic())


def test_an_entity_that_gets_another_image(pair: Pair) -> None:
    """Both files are on B's disk, and current."""
    for number in (1, 2):
        pair.held_by_both(f"{number}.png", picture(number))
    database = pair.perdura.database
    for number in (1, 2):
        database.query(
            "UPDATE image_cache SET content_type = 'artist', object_id = '42', variant = 'cover'"
            " WHERE original_path = %s", f"{number}.png",
        )
        within(
            lambda number=number: pair.b.get("/api/images/artist/42/cover").body == picture(number), FRESH_S, "B follows"
        )


def test_an_image_that_was_not_there(pair: Pair) -> None:
    assert pair.b.get(url_of("new.png")).status == 404
    pair.put("new.png", picture(1))
    pair.arrives("new.png", picture(1), time.monotonic())


def test_files_stay_when_rows_are_cleaned_up_or_wiped(pair: Pair) -> None:
    pair.held_by_both("old.png", picture(1))
    pair.held_by_both("gone.png", picture(2))
    database = pair.perdura.database
    wait_until(lambda: database.value("SELECT count(use_at) FROM instance") == 2, 60, "what both have noted of uses")
    for folder in pair.folders:
        os.utime(folder / "old.png", ns=(0, (folder / "old.png").stat().st_mtime_ns))
    database.query("UPDATE image_cache SET last_accessed = now() - interval '100 days' WHERE original_path = 'old.png'")
    assert pair.a.post("/image-cache/cleanup", {"days": 90}).json["trashed"] == 1
    database.query("DELETE FROM image_cache WHERE original_path = 'gone.png'")
    pair.held_by_both("last.png", picture(3))
    pair.put("last.png", picture(4))
    pair.arrives("last.png", picture(4), time.monotonic())
    for folder in pair.folders:
        assert (folder / "old.png").read_bytes() == picture(1)
        assert (folder / "gone.png").read_bytes() == picture(2)


def test_a_newer_file_of_the_app_stays(pair: Pair) -> None:
    """B's app writes while the database hangs; what A stored before that does not replace it."""
    server = pair.perdura.database.server
    pair.held_by_both("one.png", picture(1))
    pair.put("one.png", picture(2))
    server.sigstop()
    try:
        (pair.folders[1] / "one.png").write_bytes(picture(3))
    finally:
        server.sigcont()
    assert pair.b.post("/image-cache/flush").status == 200
    pair.stays("one.png", picture(3))
    wait_until(lambda: pair.a.get(url_of("one.png")).body == picture(3), SEEN_S, "A follows")


def feed_changes(answer: Answer) -> int:
    return int(re.search(rb"^perdura_feed_changes_total (\d+)$", answer.body, re.MULTILINE)[1])


def test_a_change_heard_of_while_no_file_can_be_opened(pair: Pair) -> None:
    """The old file can't be looked at then: it must not be served afterwards."""
    pair.held_by_both("shop/one.png", picture(1))
    pid = pair.b.process.pid
    with closing(pair.b.connect()) as connection:
        before = feed_changes(pair.b.on(connection, "GET", "/metrics"))
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        pair.put("shop/one.png", picture(2))
        wait_until(
            lambda: feed_changes(pair.b.on(connection, "GET", "/metrics")) > before, SEEN_S, "B has heard of it"
        )
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    pair.arrives("shop/one.png", picture(2), time.monotonic(), SEEN_S)
    pair.stays("shop/one.png", picture(2))


def test_many_changes_share_reads(pair: Pair) -> None:
    def reads() -> float:
        lines = pair.b.get("/metrics").body.decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("perdura_feed_reads_total ")))

    before, start = reads(), time.monotonic()
    connection = pair.perdura.database.connect()
    cursor = connection.cursor()
    for number in range(1000):
        cursor.execute(PUT_ROW, row_of(f"many/{number % 50}.png", picture(number)))
    began = time.monotonic()
    connection.close()
    pair.arrives("many/49.png", picture(999), began)
    assert reads() - before <= (time.monotonic() - start) / TOGETHER_S + 5


def test_a_transaction_that_stays_open(pair: Pair) -> None:
    """It holds back xmin: what others commit is heard at once, and what it writes at last, too."""
    connection = pair.perdura.database.connect()
    connection.autocommit = False
    cursor = connection.cursor()
    cursor.execute("SELECT pg_current_xact_id()")
    for number in range(5):
        pair.held_by_both(f"quick{number}.png", picture(10))
        pair.put(f"quick{number}.png", picture(number))
        pair.arrives(f"quick{number}.png", picture(number), time.monotonic())
    assert pair.b.get(url_of("slow.png")).status == 404
    cursor.execute(PUT_ROW, row_of("slow.png", picture(1)))
    connection.commit()
    pair.arrives("slow.png", picture(1), time.monotonic())
    connection.close()


def test_writers_that_commit_late(pair: Pair) -> None:
    """Each row's number of transaction is old by the time of its commit; none is skipped."""
    writers, each = 32, 6
    paths = [[f"late/{writer}-{number}.png" for number in range(each)] for writer in range(writers)]
    for path in sum(paths, []):
        assert pair.b.get(url_of(path)).status == 404

    def write(writer: int) -> None:
        rng = random.Random(writer)
        connection = pair.perdura.database.connect()
        connection.autocommit = False
        for path in paths[writer]:
            connection.cursor().execute(PUT_ROW, row_of(path, picture(writer)))
            time.sleep(rng.random() * 0.2)
            connection.commit()
        connection.close()

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    for writer in range(writers):
        for path in paths[writer]:
            pair.arrives(path, picture(writer), time.monotonic())


def test_a_table_made_anew(pair: Pair) -> None:
    """As after a restore from a dump: the cursor starts again."""
    assert pair.b.get(url_of("one.png")).status == 404
    pair.perdura.run("migrate", "down", "6")
    pair.perdura.run("migrate", "up")
    pair.perdura.database.query(PUT_ROW, *row_of("one.png", picture(1)))
    pair.arrives("one.png", picture(1), time.monotonic(), POLLED_S)
    pair.held_by_both("two.png", picture(2))
    pair.put("two.png", picture(3))
    pair.arrives("two.png", picture(3), time.monotonic(), POLLED_S)


def test_invalidate_reaches_everyone(pair: Pair) -> None:
    def absent(path: str) -> None:
        assert pair.b.get(url_of(path)).status == 404

    def behind_the_back(path: str) -> None:
        """Stored without anybody's hearing of it."""
        pair.perdura.database.query(
            "SET LOCAL session_replication_role = replica; " + PUT_ROW.replace("sha256)", "sha256, changed_xid)", 1).replace(
                "%s)", "%s, '3')", 1), *row_of(path, picture(1)))

    def by_program(*arguments: str) -> None:
        pair.perdura.run("invalidate", *arguments)

    def by_request(method: str, url: str, body: dict | None = None) -> None:
        answer = pair.a.request(method, url, body)
        assert answer.status == 200 and answer.json["others"] == "told"

    ways: list[Callable[[str], object]] = [
        lambda path: by_program(path),
        lambda path: by_program("--pattern", "image:path:media:f*"),
        lambda path: by_program("--all"),
        lambda path: by_program("--entity", "artist/42"),  # which one that is, nobody who found none knows
        lambda path: by_request("POST", "/image-cache/invalidate", {"path": path}),
        lambda path: by_request("PURGE", url_of(path)),
        lambda path: pair.perdura.database.query("INSERT INTO cache_invalidation (pattern) VALUES ('image:path:*')"),
    ]
    for number, invalidate in enumerate(ways):
        path = f"f{number}[*].png"
        absent(path)
        behind_the_back(path)
        absent(path)
        invalidate(path)
        pair.arrives(path, picture(1), time.monotonic())


def test_invalidate_while_the_database_is_down(pair: Pair) -> None:
    server = pair.perdura.database.server
    server.stop()
    try:
        answer = pair.a.post("/image-cache/invalidate", {"pattern": "*"})
    finally:
        server.start()
    assert answer.status == 200 and answer.json["others"] == "unreachable"


def test_invalidate_refuses_what_it_does_not_understand(perdura: Perdura) -> None:
    for arguments in ([], ["a.png", "--all"], ["--entity", "/"], ["--entity", "a/b/c/d"], ["--pattern", ""]):
        assert perdura.run("invalidate", *arguments, check=False).code == 2, arguments
    assert perdura.run("invalidate", "../a.png", check=False).code == 1
    assert perdura.run("invalidate", "--dry-run", "--entity", "artist/42").stdout.endswith("image:artist:42:*\n")
    assert perdura.database.value("SELECT count(*) FROM cache_invalidation") == 0


def test_cleanup_forgets_invalidations_after_a_day(perdura: Perdura) -> None:
    perdura.run("invalidate", "--all")
    perdura.run("invalidate", "--pattern", "image:old:*")
    perdura.database.query(
        "UPDATE cache_invalidation SET made_at = now() - interval '25 hours' WHERE pattern = 'image:old:*'"
    )
    perdura.run("cleanup", "--days", "90")
    assert perdura.database.query("SELECT pattern FROM cache_invalidation") == [("*",)]


def test_a_touch_notifies_nobody(perdura: Perdura) -> None:
    database = perdura.database
    database.query(PUT_ROW, *row_of("one.png", picture(1)))
    connection = database.connect()
    cursor = connection.cursor()
    cursor.execute("LISTEN perdura_image")
    cursor.execute("UPDATE image_cache SET last_accessed = now(), access_count = access_count + 1")
    assert not connection.notifies
    for _ in range(3):
        cursor.execute("UPDATE image_cache SET image_data = image_data")
    connection.poll()
    assert [note.payload for note in connection.notifies] == ["", "", ""]
    connection.close()


# What can't listen asks


@pytest.fixture
def pooler(perdura: Perdura) -> Iterator[PgBouncer]:
    with PgBouncer(perdura.folder / "pgbouncer", perdura.database.server) as pooler:
        yield pooler


def check_polling(pair: Pair) -> None:
    wait_until(lambda: feed_mode(pair.b) == "polling", SEEN_S, "polling")
    assert pair.b.get("/image-cache/status").json["feed"]["why"]
    pair.held_by_both("one.png", picture(1))
    assert pair.b.get(url_of("new.png")).status == 404
    began = time.monotonic()
    pair.put("one.png", picture(2))
    pair.put("new.png", picture(3))
    pair.arrives("one.png", picture(2), began, POLLED_S)
    pair.arrives("new.png", picture(3), began, POLLED_S)
    pair.stays("one.png", picture(2))
    assert pair.b.get("/ready").json["feed"]["lag_seconds"] < POLLED_S


def test_without_a_connection_to_spare(serve: Callable[..., Served], perdura: Perdura) -> None:
    check_polling(Pair(serve, perdura, PERDURA_DB_POOL="2"))


def test_behind_a_pooler(pooler: PgBouncer, serve: Callable[..., Served], perdura: Perdura) -> None:
    check_polling(Pair(serve, perdura, DATABASE_URL=pooler.url(perdura.database.name), PERDURA_DB_PREPARED="off"))


def test_a_listen_url_that_leads_through_a_pooler(
    pooler: PgBouncer, serve: Callable[..., Served], perdura: Perdura
) -> None:
    """LISTEN is accepted there, and nothing is heard."""
    url = pooler.url(perdura.database.name)
    check_polling(Pair(serve, perdura, DATABASE_URL=url, PERDURA_LISTEN_URL=url, PERDURA_DB_PREPARED="off"))


def test_a_direct_listen_url_beside_a_pooler(
    pooler: PgBouncer, serve: Callable[..., Served], perdura: Perdura
) -> None:
    pair = Pair(serve, perdura, DATABASE_URL=pooler.url(perdura.database.name), PERDURA_DB_PREPARED="off",
                PERDURA_LISTEN_URL=perdura.database.url)
    wait_until(lambda: feed_mode(pair.b) == "listening", SEEN_S, "listening")
    pair.held_by_both("one.png", picture(1))
    pair.put("one.png", picture(2))
    pair.arrives("one.png", picture(2), time.monotonic())


def test_listening_is_tried_out_again_soon(serve: Callable[..., Served], perdura: Perdura) -> None:
    """Whoever is too busy at the start to hear of anything within a second does not ask for the next minute."""
    server = perdura.database.server
    with DelayProxy(server.socket_folder / f".s.PGSQL.{server.port}", 0) as proxy:
        proxy.freeze()
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{perdura.database.name}"
        http = serve(DATABASE_URL=url, PERDURA_LISTEN_URL=perdura.database.url)
        try:
            wait_until(lambda: http.get("/ready").json["feed"]["mode"] == "polling", SEEN_S, "nothing that is heard")
        finally:
            proxy.thaw()
        wait_until(lambda: http.get("/ready").json["feed"]["mode"] == "listening", 30, "listening")
        http.stop()


# Redis in between


class History:
    """Which contents each image has had, and when each was committed; None: it is on its way."""

    def __init__(self, paths: list[str]) -> None:
        self.contents: dict[str, list[tuple[float | None, bytes]]] = {path: [] for path in paths}

    def begins(self, path: str, content: bytes) -> None:
        self.contents[path].append((None, content))

    def committed(self, path: str) -> None:
        """The last one."""
        self.contents[path][-1] = (time.monotonic(), self.contents[path][-1][1])

    def is_fresh(self, path: str, content: bytes, since: float) -> bool:
        """Whether it was the current one at some time from then on."""
        known = list(self.contents[path])
        current = max(i for i, (at, _) in enumerate(known) if i == 0 or (at is not None and at <= since))
        return content in [one for _, one in known[current:]]


def test_nothing_stale_comes_by_way_of_redis(
    serve: Callable[..., Served], perdura: Perdura, redis_server: Redis
) -> None:
    """Images are replaced on A in all ways, read by both, and their files wiped on both so that Redis is asked."""
    pair = Pair(serve, perdura, REDIS_URL=redis_server.url())
    paths = [f"{i}.png" for i in range(12)]
    history = History(paths)
    until = time.monotonic() + MIXED_S
    wrong: list[str] = []
    tiers: Counter[str] = Counter()
    slowest = [0.0]

    def goes_on() -> bool:
        """Until the time is over, and each tier has answered: a busy machine may have Redis left alone for a while."""
        now = time.monotonic()
        return not wrong and (now < until or (now < until + SEEN_S and not all(tiers[one] for one in TIERS)))

    def takes(began: float) -> None:
        slowest[0] = max(slowest[0], time.monotonic() - began)

    def write(seed: int) -> None:
        rng = random.Random(seed)
        number = seed * 1_000_000
        while goes_on():
            number += 1
            path = paths[rng.randrange(len(paths)) // 2 * 2 + seed]  # each writer has images of its own
            content = picture(number)
            how = rng.randrange(3)
            history.begins(path, content)
            began = time.monotonic()
            if how == 0:
                pair.put(path, content)
            elif how == 1:
                perdura.database.query(PUT_ROW, *row_of(path, content))
            else:
                (pair.folders[0] / path).write_bytes(content)
                answer = pair.a.post("/image-cache/flush")
                # 409 names what is not persisted: here, a file that the other writer is just writing.
                named = [file["path"] for file in answer.json["unpersisted"]] if answer.status == 409 else []
                assert answer.status in (200, 409) and path not in named, answer.body
            history.committed(path)
            takes(began)

    def read(seed: int) -> None:
        rng = random.Random(seed)
        while goes_on():
            path = rng.choice(paths)
            which = rng.randrange(2)
            if which and rng.random() < 0.5:
                (pair.folders[which] / path).unlink(missing_ok=True)
            asked = time.monotonic()
            answer = (pair.a, pair.b)[which].get(url_of(path))
            takes(asked)
            tiers[answer["X-Cache-Tier"]] += 1
            fresh_s = max(FRESH_S, BUSY * slowest[0])  # where a write takes long, so does what follows from it
            if answer.status != 200 or not history.is_fresh(path, answer.body, asked - fresh_s):
                wrong.append(f"{'AB'[which]} {path}: {answer.status} from {answer['X-Cache-Tier']}")

    for path in paths:
        history.begins(path, picture(0))
        pair.put(path, picture(0))
        history.committed(path)
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(write, seed) for seed in range(2)] + [pool.submit(read, seed) for seed in range(4)]:
            done.result()
    assert not wrong, wrong[:10]
    assert all(tiers[one] for one in TIERS), tiers
