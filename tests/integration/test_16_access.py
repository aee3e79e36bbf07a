"""When and how often images are asked for: what the batches write, and what they leave alone.

The server notes requests. First a unit test does, which is the same code without HTTP; the statements are also run as
they are, to look at their plans and at their edges.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psycopg2
import pytest
from conftest import SANITIZERS, Perdura, Served, perdura_binary
from files import picture, sha256
from past import age, read_by_app, stay_in_the_hour
from servers import wait_until

SQL = Path(__file__).resolve().parents[2] / "sql"
PREPARE = {
    "access_touch": "PREPARE access_touch (text[], text[], timestamptz[], bigint[]) AS ",
    "access_hours": "PREPARE access_hours (timestamptz[], text[], bigint[]) AS ",
}
PATHS = [f"{name}.png" for name in "abcdef"]
STATE = "SELECT original_path, last_accessed, access_count, changed_xid::text, updated_at FROM image_cache ORDER BY 1"


@pytest.fixture
def stored(perdura: Perdura) -> Perdura:
    """Six images, a.png to f.png, last accessed ten days ago."""
    for path in PATHS:
        picture(perdura.media / path, seed=path)
    perdura.run("cache-all")
    age(perdura, 10)
    assert [row[0] for row in perdura.database.query(STATE)] == PATHS
    return perdura


def run(perdura: Perdura, name: str, *arrays: str) -> None:
    execute(perdura, name, f"EXECUTE {name} ({', '.join(arrays)})")


def execute(perdura: Perdura, name: str, statement: str) -> list:
    connection = perdura.database.connect()
    try:
        cursor = connection.cursor()
        cursor.execute(PREPARE[name] + (SQL / f"{name}.sql").read_text())
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def array(values: Iterable) -> str:
    return "'{" + ",".join(map(str, values)) + "}'"


def media(paths: Sequence[str]) -> tuple[str, str]:
    """The first two arguments of access_touch."""
    return array(["media"] * len(paths)), array(paths)


def counted_by_day(perdura: Perdura) -> list:
    return perdura.database.query(
        "SELECT accessed_on, sum(images) FROM image_count GROUP BY 1 HAVING sum(images) <> 0 ORDER BY 1"
    )


def truly_by_day(perdura: Perdura) -> list:
    return perdura.database.query(
        "SELECT (last_accessed AT TIME ZONE 'UTC')::date, count(*) FROM image_cache GROUP BY 1 ORDER BY 1"
    )


def test_notes_are_written_at_the_stop(stored: Perdura) -> None:
    test = perdura_binary().parent / "unit" / "test_access"
    if not test.exists():
        pytest.skip(f"{test} is not built: make unit")
    before = stored.database.query(STATE)
    for times in (1, 2):
        done = subprocess.run(
            [test],
            env={
                **{name: os.environ[name] for name in SANITIZERS if name in os.environ},
                "ACCESS_DATABASE_URL": stored.database.url,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        after = stored.database.query(STATE)
        assert [row[2] for row in after] == [n * times for n in range(1, 6)] + [0]
    assert all(new[1] > old[1] for old, new in zip(before[:5], after[:5]))
    assert after[5] == before[5]
    assert [row[3:] for row in after] == [row[3:] for row in before]  # no change for the feed
    assert stored.database.value("SELECT count(*) FROM image_cache WHERE last_accessed < now() - interval '1 day'") == 1
    assert counted_by_day(stored) == truly_by_day(stored)
    assert stored.database.query("SELECT collection, sum(requests)::int FROM access_hour GROUP BY 1") == [("media", 30)]
    assert stored.database.value("SELECT bool_and(hour = date_trunc('hour', hour)) FROM access_hour")


def test_last_accessed_never_moves_back_nor_ahead(stored: Perdura) -> None:
    recently = "UPDATE image_cache SET last_accessed = now() - interval '1 hour' WHERE original_path = 'a.png'"
    stored.database.query(recently)
    before = stored.database.query(STATE)
    times = "ARRAY[now() - interval '2 hours', now() + interval '1 day', now() - interval '3 hours']"
    run(stored, "access_touch", *media(PATHS[:3]), times, "ARRAY[5, 6, 7]")
    after = stored.database.query(STATE)
    assert after[0][1:3] == (before[0][1], 5)
    assert after[1][2] == 6
    assert stored.database.query(
        "SELECT last_accessed <= now(), last_accessed < now() - interval '2 hours' FROM image_cache"
        " WHERE original_path IN ('b.png', 'c.png') ORDER BY original_path"
    ) == [(True, False), (True, True)]
    assert after[3:] == before[3:]


def test_the_trash_is_left_alone(stored: Perdura) -> None:
    stored.run("rm", "a.png")
    before = stored.database.query(STATE)
    run(stored, "access_touch", *media(["a.png", "none.png"]), array(["now"] * 2), array([5] * 2))
    assert stored.database.query(STATE) == before
    assert stored.database.value("SELECT count(*) FROM image_tombstone") == 0


def test_the_bytes_are_not_touched_and_no_row_is_searched(stored: Perdura) -> None:
    stored.database.query(
        "INSERT INTO image_cache (collection, original_path, image_url, file_size, content_type_header, sha256)"
        " SELECT 'media', 'n/' || i, 'https://h/' || i, 1, 'image/png', sha256('x') FROM generate_series(1, 20000) i"
    )
    stored.database.query("ANALYZE image_cache")
    toast = stored.database.rows_written().get("image_cache toast")
    # A whole batch, the first images with bytes in their rows among it.
    paths = PATHS + [f"n/{n}" for n in range(0, 20000, 20)][:994]
    arguments = ", ".join((*media(paths), array(["now"] * 1000), array([1] * 1000)))
    for mode in ("force_custom_plan", "force_generic_plan"):
        explain = f"SET plan_cache_mode = {mode}; EXPLAIN (ANALYZE) EXECUTE access_touch ({arguments})"
        plan = execute(stored, "access_touch", explain)
        text = "\n".join(row[0] for row in plan)
        assert "image_cache_key" in text and "Seq Scan on image_cache" not in text, text
        assert "image_cache_mark_changed" not in text and "image_tombstone" not in text, text
    assert stored.database.rows_written().get("image_cache toast") == toast
    assert stored.database.value("SELECT sum(access_count)::int FROM image_cache") == 2 * 999  # there is no n/0
    assert counted_by_day(stored) == truly_by_day(stored)


def test_instances_that_write_the_same_images_do_not_lock_each_other_out(stored: Perdura) -> None:
    failures = []

    def touch(paths: Sequence[str]) -> None:
        try:
            for _ in range(40):
                run(stored, "access_touch", *media(paths), array(["now"] * 6), array([1] * 6))
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=touch, args=(paths,)) for paths in (PATHS, PATHS[::-1]) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert {row[2] for row in stored.database.query(STATE)} == {160}


def test_requests_by_hour_add_up_and_are_kept_for_a_week(stored: Perdura) -> None:
    stay_in_the_hour()
    stored.database.query("INSERT INTO access_hour VALUES (now() - interval '9 days', 'media', 1)")
    stored.database.query("INSERT INTO access_hour VALUES (now() - interval '7 days', 'media', 2)")
    for _ in range(2):
        hours = "ARRAY[date_trunc('hour', now()), date_trunc('hour', now()) - interval '1 hour']"
        run(stored, "access_hours", hours, "ARRAY['media', 'media']", "ARRAY[10, 20]")
    assert stored.database.query("SELECT requests FROM access_hour ORDER BY hour") == [(2,), (40,), (20,)]


# Over HTTP


def use(http: Served) -> int:
    """Asks for a.png three times, for b.png and c.png once, in vain for the others. Returns how often it asked."""
    etag = f'"{sha256((http.perdura.media / "c.png").read_bytes())}"'
    read_by_app(http.perdura, "c.png", 11)  # that was us, now
    asked = [
        ("GET", "c.png", {"If-None-Match": etag}, 304),
        ("GET", "b.png", {"Range": "bytes=0-9"}, 206),
        ("GET", "a.png", {}, 200),
        ("GET", "a.png", {"If-None-Match": '"other"'}, 200),
        ("GET", "a.png?v=1", {}, 200),
        ("HEAD", "d.png", {}, 200),
        ("HEAD", "d.png", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
        ("GET", "e.png", {"If-Match": '"other"'}, 412),
        ("GET", "e.png", {"Range": "bytes=99999999-"}, 416),
        ("GET", "none.png", {}, 404),
        ("GET", "%2e%2e/a.png", {}, 400),
    ]
    for method, path, fields, status in asked:
        assert http.request(method, f"/media/{path}", headers=fields).status == status, (method, path)
    assert http.request("POST", "/media/a.png").status == 405
    assert http.get("/health").status == 200
    return len(asked)


def test_what_is_served_counts_and_is_written_at_the_stop(stored: Perdura, serve: Callable[..., Served]) -> None:
    before = stored.database.query(STATE)
    http = serve()
    asked = use(http)
    http.stop()
    after = stored.database.query(STATE)
    assert [row[2] for row in after] == [3, 1, 1, 0, 0, 0]
    assert all(new[1] > old[1] for old, new in zip(before[:3], after[:3]))
    assert after[3:] == before[3:]
    assert [row[3:] for row in after] == [row[3:] for row in before]
    assert stored.database.value("SELECT sum(requests)::int FROM access_hour WHERE collection = 'media'") == asked
    assert stored.database.value("SELECT count(DISTINCT collection) FROM access_hour") == 1
    assert counted_by_day(stored) == truly_by_day(stored)


def test_what_is_served_stays_and_comes_back_first(stored: Perdura, serve: Callable[..., Served]) -> None:
    http = serve()
    use(http)
    http.stop()
    # The list is the one that restore works off.
    hottest = [image["original_path"] for image in stored.run("list", "--hottest", "--json").json]
    assert hottest[:3] == ["a.png", "b.png", "c.png"]
    stored.run("cleanup", "--days", "5")
    assert [image["original_path"] for image in stored.run("list", "--json").json] == PATHS[:3]


def test_it_counts_wherever_it_comes_from(stored: Perdura, serve: Callable[..., Served]) -> None:
    stored.database.query(
        "UPDATE image_cache SET content_type = 'artist', object_id = '1', variant = 'cover'"
        " WHERE original_path = 'b.png'"
    )
    for path in PATHS:
        (stored.media / path).unlink()
    http = serve(PERDURA_RESTORE="lazy")
    for tier in ("db", "disk"):
        assert http.get("/media/a.png").status == 200, tier
        wait_until((stored.media / "a.png").exists, 60, "the file that is put back")
    for _ in range(3):
        assert http.get("/api/images/artist/1/cover").status == 200
    http.get("/api/images/artist/2/cover").problem(404)  # of no collection
    http.stop()
    assert [row[2] for row in stored.database.query(STATE)] == [2, 3, 0, 0, 0, 0]
    assert stored.database.value("SELECT sum(requests)::int FROM access_hour") == 5


def test_a_row_that_someone_holds_is_not_waited_for(stored: Perdura, serve: Callable[..., Served]) -> None:
    http = serve(PERDURA_SHUTDOWN_TIMEOUT="2")
    use(http)
    other = psycopg2.connect(stored.database.url)
    try:
        other.cursor().execute("SELECT FROM image_cache WHERE original_path = 'a.png' FOR UPDATE")
        began = time.monotonic()
        http.stop()
        assert time.monotonic() - began < 10
    finally:
        other.close()
    assert "last accesses not recorded" in http.shown()


def test_nothing_is_written_where_nothing_was_asked(stored: Perdura, serve: Callable[..., Served]) -> None:
    before = stored.database.query(STATE)
    http = serve()
    assert http.get("/ready").status == 200
    http.stop()
    assert "last_accessed" not in http.shown()
    assert stored.database.query(STATE) == before
    assert stored.database.value("SELECT count(*) FROM access_hour") == 0
