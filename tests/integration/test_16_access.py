"""When and how often images are asked for: what the batches write, and what they leave alone.

The server notes requests. Here a unit test does, which is the same code without HTTP; the statements are also run as
they are, to look at their plans and at their edges.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from conftest import SANITIZERS, Perdura, perdura_binary
from files import picture

SQL = Path(__file__).resolve().parents[2] / "sql"
PREPARE = {
    "access_touch": "PREPARE access_touch (bigint[], timestamptz[], bigint[]) AS ",
    "access_hours": "PREPARE access_hours (timestamptz[], text[], bigint[]) AS ",
}
STATE = "SELECT id, last_accessed, access_count, changed_xid::text, updated_at FROM image_cache ORDER BY id"


@pytest.fixture
def stored(perdura: Perdura) -> Perdura:
    """Six images with ids from 1 on, last accessed ten days ago."""
    for name in "abcdef":
        picture(perdura.media / f"{name}.png", seed=name)
    perdura.run("cache-all")
    perdura.database.query("UPDATE image_cache SET last_accessed = now() - interval '10 days'")
    assert [row[0] for row in perdura.database.query(STATE)] == [1, 2, 3, 4, 5, 6]
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
        assert [row[2] for row in after] == [id * times for id in range(1, 6)] + [0]
    assert all(new[1] > old[1] for old, new in zip(before[:5], after[:5]))
    assert after[5] == before[5]
    assert [row[3:] for row in after] == [row[3:] for row in before]  # no change for the feed
    assert stored.database.value("SELECT count(*) FROM image_cache WHERE last_accessed < now() - interval '1 day'") == 1
    assert counted_by_day(stored) == truly_by_day(stored)
    assert stored.database.query("SELECT collection, sum(requests)::int FROM access_hour GROUP BY 1") == [("media", 30)]
    assert stored.database.value("SELECT bool_and(hour = date_trunc('hour', hour)) FROM access_hour")


def test_last_accessed_never_moves_back_nor_ahead(stored: Perdura) -> None:
    stored.database.query("UPDATE image_cache SET last_accessed = now() - interval '1 hour' WHERE id = 1")
    before = stored.database.query(STATE)
    times = "ARRAY[now() - interval '2 hours', now() + interval '1 day', now() - interval '3 hours']"
    run(stored, "access_touch", "ARRAY[1, 2, 3]", times, "ARRAY[5, 6, 7]")
    after = stored.database.query(STATE)
    assert after[0][1:3] == (before[0][1], 5)
    assert after[1][2] == 6
    assert stored.database.value("SELECT last_accessed <= now() FROM image_cache WHERE id = 2")
    assert stored.database.value("SELECT last_accessed < now() - interval '2 hours' FROM image_cache WHERE id = 3")
    assert after[3:] == before[3:]


def test_the_trash_is_left_alone(stored: Perdura) -> None:
    stored.run("rm", "a.png")
    before = stored.database.query(STATE)
    trashed = stored.database.value("SELECT id FROM image_cache WHERE deleted_at IS NOT NULL")
    run(stored, "access_touch", f"ARRAY[{trashed}, 99]", "ARRAY[now(), now()]", "ARRAY[5, 5]")
    assert stored.database.query(STATE) == before
    assert stored.database.value("SELECT count(*) FROM image_tombstone") == 0


def test_the_bytes_are_not_touched_and_no_row_is_searched(stored: Perdura) -> None:
    stored.database.query(
        "INSERT INTO image_cache (collection, original_path, image_url, file_size, content_type_header, sha256)"
        " SELECT 'media', 'n/' || i, 'https://h/' || i, 1, 'image/png', sha256('x') FROM generate_series(1, 20000) i"
    )
    stored.database.query("ANALYZE image_cache")
    toast = stored.database.rows_written().get("image_cache toast")
    # The same share as that of a batch of 1,000 in a million.
    arguments = ", ".join((array(range(1, 20000, 1000)), array(["now"] * 20), array([1] * 20)))
    for mode in ("force_custom_plan", "force_generic_plan"):
        explain = f"SET plan_cache_mode = {mode}; EXPLAIN (ANALYZE) EXECUTE access_touch ({arguments})"
        plan = execute(stored, "access_touch", explain)
        text = "\n".join(row[0] for row in plan)
        assert "Seq Scan on image_cache" not in text, text
        assert "image_cache_mark_changed" not in text and "image_tombstone" not in text, text
    assert stored.database.rows_written().get("image_cache toast") == toast
    assert stored.database.value("SELECT sum(access_count)::int FROM image_cache") == 2 * 20
    assert counted_by_day(stored) == truly_by_day(stored)


def test_instances_that_write_the_same_images_do_not_lock_each_other_out(stored: Perdura) -> None:
    failures = []

    def touch(ids: str) -> None:
        try:
            for _ in range(40):
                run(stored, "access_touch", ids, array(["now"] * 6), array([1] * 6))
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=touch, args=(ids,)) for ids in ("ARRAY[1,2,3,4,5,6]", "ARRAY[6,5,4,3,2,1]") * 2]
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
