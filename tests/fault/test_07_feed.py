"""Changes made elsewhere while the feed's connection is killed, the database is slow, or there are very many of them.

FEED_WRITES says how many writes the killer gets to see (300; the long form is 10,000).
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import images
import psycopg2
import pytest
from conftest import SANITIZERS, Database, Perdura, Served
from faults import visible
from http_client import url_of
from proxy import DelayProxy
from servers import wait_until, within

FEED_WRITES = int(os.environ.get("FEED_WRITES", "300"))
SANITIZED = any(name in os.environ for name in SANITIZERS)
IMAGES = 100
WRITERS = 4
KILL_EACH_S = 0.02
SETTLE_S = 60.0
FRESH_S = 1.0
STORM = 100_000
STORM_BYTES_MAX = 200 << 20
KILL = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'perdura feed'
"""


def picture(number: int) -> bytes:
    return images.make("png", number, 24, 16)


@pytest.fixture
def folders(perdura: Perdura) -> list[Path]:
    made = [perdura.folder / name for name in ("a", "b")]
    for one in made:
        one.mkdir()
    return made


@contextmanager
def killer(database: Database) -> Iterator[Callable[[], int]]:
    """Ends every connection that listens, again and again; tells how many that were."""
    ended, killed = threading.Event(), [0]

    def kill() -> None:
        connection = database.connect()
        cursor = connection.cursor()
        while not ended.wait(KILL_EACH_S):
            cursor.execute(KILL)
            killed[0] += cursor.fetchone()[0]
        connection.close()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield lambda: killed[0]
    finally:
        ended.set()
        thread.join()


def test_no_change_is_missed_by_who_is_cut_off_all_the_time(
    serve: Callable[..., Served], perdura: Perdura, folders: list[Path]
) -> None:
    a, b = (serve(PERDURA_MEDIA_ROOT=str(folder)) for folder in folders)
    paths = [f"{number % 7}/{number}.png" for number in range(IMAGES)]
    last: dict[str, bytes | None] = {}

    def write(writer: int) -> None:
        """Each has images of its own, so that it knows what is there at the end."""
        rng = random.Random(writer)
        for number in range(FEED_WRITES // WRITERS):
            path = rng.choice(paths[writer::WRITERS])
            if rng.random() < 0.1 and last.get(path):
                assert a.request("DELETE", url_of(path)).status == 204
                last[path] = None
            else:
                content = picture(writer * FEED_WRITES + number)
                assert a.put(url_of(path), content).status in (200, 201)
                last[path] = content
            b.get(url_of(rng.choice(paths)))

    with killer(perdura.database) as killed, ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    assert killed() > 0

    def stale() -> list[str]:
        wrong = []
        for path in paths:
            answer = b.get(url_of(path))
            right = last.get(path)
            if (answer.status, answer.body if right else b"") != ((200, right) if right else (404, b"")):
                wrong.append(path)
        return wrong

    wait_until(lambda: not stale(), SETTLE_S, "B has all")

    def on_disk() -> bool:
        return all(
            not (folders[1] / path).exists() or (folders[1] / path).read_bytes() == last.get(path) for path in paths
        )

    wait_until(on_disk, SETTLE_S, "B's files")
    for served in (a, b):
        status = lambda served=served: served.get("/image-cache/status").json["feed"]  # noqa: E731
        wait_until(lambda: status()["stale_files"] == 0, SETTLE_S, "the end of what is marked")


def test_a_slow_database_shows_nothing_old(
    serve: Callable[..., Served], perdura: Perdura, folders: list[Path]
) -> None:
    """The replacement is slow to come; meanwhile the old file is not served."""
    server = perdura.database.server
    socket_path = server.socket_folder / f".s.PGSQL.{server.port}"
    with DelayProxy(socket_path, 0.1) as proxy:
        a = serve(PERDURA_MEDIA_ROOT=str(folders[0]))
        b = serve(
            PERDURA_MEDIA_ROOT=str(folders[1]),
            DATABASE_URL=f"postgresql://postgres@127.0.0.1:{proxy.port}/{perdura.database.name}",
            PERDURA_LISTEN_URL=perdura.database.url,
        )
        try:
            for number in range(3):
                assert a.put(url_of("one.png"), picture(number)).status in (200, 201)
                committed = time.monotonic()
                new = picture(number)
                within(lambda new=new: b.get(url_of("one.png")).body == new, FRESH_S, "fresh")
                while time.monotonic() < committed + 2 * FRESH_S:
                    assert b.get(url_of("one.png")).body == new
        finally:
            b.stop()


def test_a_storm_of_changes_stays_small(serve: Callable[..., Served], perdura: Perdura, folders: list[Path]) -> None:
    """100,000 rows changed at once: no file appears that was not there, and what is on disk follows."""
    a, b = (serve(PERDURA_MEDIA_ROOT=str(folder)) for folder in folders)
    first, second = picture(1), picture(2)
    database = perdura.database
    database.query(
        "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256)"
        " SELECT 'storm/' || n || '.png', %s, %s, 'image/png', %s FROM generate_series(1, %s) AS n",
        base64.b64encode(first).decode(), len(first), hashlib.sha256(first).digest(), STORM,
    )
    held = [f"storm/{number}.png" for number in range(1, STORM, STORM // 20)]

    def is_held() -> bool:
        return all(b.get(url_of(path)).body == first and (folders[1] / path).exists() for path in held)

    wait_until(is_held, SETTLE_S, "some files")
    database.query(
        "UPDATE image_cache SET image_data = %s, file_size = %s, sha256 = %s",
        base64.b64encode(second).decode(), len(second), hashlib.sha256(second).digest(),
    )
    committed = time.monotonic()
    wait_until(lambda: all(b.get(url_of(path)).body == second for path in held), SETTLE_S, "B follows")
    print(f"{STORM} changed rows were heard of in {time.monotonic() - committed:.2f} s")
    wait_until(lambda: all((folders[1] / path).read_bytes() == second for path in held), SETTLE_S, "B's files")
    assert sorted(visible(folders[1])) == sorted(held)
    assert not list(visible(folders[0]))
    if not SANITIZED:
        status = Path(f"/proc/{b.process.pid}/status").read_text()
        peak = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))
        print(f"peak memory {peak >> 20} MiB")
        assert peak < STORM_BYTES_MAX


def test_an_unpersisted_file_of_the_app_is_not_lost(
    serve: Callable[..., Served], perdura: Perdura, folders: list[Path]
) -> None:
    """The database hangs for B alone while its app writes and A replaces the row: the newer one counts."""
    server = perdura.database.server
    socket_path = server.socket_folder / f".s.PGSQL.{server.port}"
    a = serve(PERDURA_MEDIA_ROOT=str(folders[0]))
    with DelayProxy(socket_path, 0) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{perdura.database.name}"
        b = serve(PERDURA_MEDIA_ROOT=str(folders[1]), DATABASE_URL=url, PERDURA_LISTEN_URL=perdura.database.url)
        try:
            assert a.put(url_of("one.png"), picture(1)).status == 201
            file = folders[1] / "one.png"
            wait_until(lambda: b.get(url_of("one.png")).body == picture(1) and file.exists(), SETTLE_S, "B's file")
            proxy.freeze()
            assert a.put(url_of("one.png"), picture(2)).status == 200
            file.write_bytes(picture(3))
            assert b.get(url_of("one.png")).body == picture(3)
            proxy.thaw()
            wait_until(lambda: a.get(url_of("one.png")).body == picture(3), SETTLE_S, "the app's write, on A")
            assert file.read_bytes() == picture(3) and b.get(url_of("one.png")).body == picture(3)
        finally:
            proxy.thaw()
            b.stop()


def test_a_database_that_comes_back(serve: Callable[..., Served], perdura: Perdura, folders: list[Path]) -> None:
    a, b = (serve(PERDURA_MEDIA_ROOT=str(folder)) for folder in folders)
    assert a.put(url_of("one.png"), picture(1)).status == 201
    wait_until(lambda: b.get(url_of("one.png")).body == picture(1) and (folders[1] / "one.png").exists(), SETTLE_S, "B")
    server = perdura.database.server
    server.stop()
    wait_until(lambda: b.get("/ready").json["feed"]["mode"] == "connecting", SETTLE_S, "B knows")
    assert b.get(url_of("one.png")).body == picture(1)
    server.start()

    def is_put() -> bool:
        try:
            return a.put(url_of("one.png"), picture(2)).status == 200
        except psycopg2.OperationalError:
            return False

    wait_until(is_put, SETTLE_S, "A writes again")
    wait_until(lambda: b.get(url_of("one.png")).body == picture(2), SETTLE_S, "B has it")
    wait_until(lambda: b.get("/ready").json["feed"]["mode"] == "listening", SETTLE_S, "B listens again")
