"""When and how often images are asked for: what the batches write, and what they leave alone.

The server notes requests. Here a unit test does, which is the same code without HTTP; the statements are also run as
they are, to look at their plans and at their edges.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from conftest import SANITIZERS, Perdura, perdura_binary
from files import picture

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
    perdura.database.query("UPDATE image_cache SET last_accessed = now() - interval '10 days'")
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
    stored.database.query("INSERT INTO access_hour VALUES (now() - interval '9 days', 'media', 1)")
    stored.database.query("INSERT INTO access_hour VALUES (now() - interval '7 days', 'media', 2)")
    for _ in range(2):
        hours = "ARRAY[date_trunc('hour', now()), date_trunc('hour', now()) - interval '1 hour']"
        run(stored, "access_hours", hours, "ARRAY['media', 'media']", "ARRAY[10, 20]")
    assert stored.database.query("SELECT requests FROM access_hour ORDER BY hour") == [(2,), (40,), (20,)]
