"""What holds in the database whoever writes to it: checks, counters, tombstones, the order of changes. In plain SQL."""

from __future__ import annotations

import base64
import hashlib
import random
import re
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from conftest import TESTS, Database
from psycopg2.errors import CheckViolation, DeadlockDetected, NotNullViolation, UniqueViolation

INCLUDED = re.compile(r"^\\ir (\S+)$", re.MULTILINE)
QUERIES = sorted((TESTS.parent / "sql").glob("*.sql"))

INSERT = """
INSERT INTO image_cache (collection, original_path, image_data, file_size, content_type_header, sha256, last_accessed)
VALUES (%s, %s, %s, %s, 'image/png', %s, %s)
"""


def insert(cursor, path: str, data: bytes = b"abc", collection: str = "media", accessed: str = "now") -> None:
    digest = hashlib.sha256(data).digest()
    cursor.execute(INSERT, (collection, path, base64.b64encode(data).decode(), len(data), digest, accessed))


def test_every_query_can_be_prepared(database: Database) -> None:
    connection = database.connect()
    failed = {}
    for number, query in enumerate(QUERIES):
        try:
            text = INCLUDED.sub(lambda found: (query.parent / found[1]).read_text(), query.read_text())
            connection.cursor().execute(f"PREPARE q{number} AS {text}")
        except psycopg2.Error as error:
            failed[query.name] = str(error)
    connection.close()
    assert QUERIES and not failed


# Checks

ROW = {
    "collection": "media",
    "original_path": "a.png",
    "image_data": "YWJj",
    "image_url": None,
    "file_size": 3,
    "content_type_header": "image/png",
    "sha256": hashlib.sha256(b"abc").digest(),
    "encoding": "base64",
    "width": None,
    "height": None,
    "source_mtime_ns": 0,
}


def insert_row(database: Database, changes: dict) -> None:
    row = {**ROW, **changes}
    places = ", ".join(["%s"] * len(row))
    database.query(f"INSERT INTO image_cache ({', '.join(row)}) VALUES ({places})", *row.values())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"image_data": None, "image_url": "https://bucket.example/a.png"},
        {"original_path": "x" * 2048},
        {"width": 0, "height": 0, "source_mtime_ns": 999},
    ],
)
def test_right_row_is_taken(database: Database, changes: dict) -> None:
    insert_row(database, changes)
    assert database.value("SELECT sum(images) FROM image_count") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"image_url": "https://bucket.example/a.png"},  # two places
        {"image_data": None},  # none
        {"collection": ""},
        {"collection": "c" * 65},
        {"original_path": ""},
        {"original_path": "é" * 1025},
        {"file_size": 0, "image_data": ""},
        {"file_size": -3},
        {"file_size": 4},  # not what the base64 holds
        {"image_data": "YWJj\n"},
        {"sha256": b"short"},
        {"encoding": "hex"},
        {"width": -1, "height": 1},
        {"source_mtime_ns": 1000},
        {"source_mtime_ns": -1},
    ],
)
def test_wrong_row_is_refused(database: Database, changes: dict) -> None:
    with pytest.raises(CheckViolation):
        insert_row(database, changes)
    assert database.value("SELECT count(*) FROM image_count") == 0


@pytest.mark.parametrize("column", ["original_path", "file_size", "content_type_header", "sha256", "collection"])
def test_row_without_what_it_needs_is_refused(database: Database, column: str) -> None:
    with pytest.raises(NotNullViolation):
        insert_row(database, {column: None})


def test_one_row_a_path_and_collection(database: Database) -> None:
    insert_row(database, {})
    insert_row(database, {"collection": "avatars"})
    with pytest.raises(UniqueViolation):
        insert_row(database, {})


def test_base64_is_not_compressed(database: Database) -> None:
    connection = database.connect()
    insert(connection.cursor(), "a.png", b"\0" * 30000)
    connection.close()
    assert database.value("SELECT pg_column_size(image_data) FROM image_cache") == 40000


# The order of changes

CHANGES = {
    "image_data": "image_data = 'YWJk'",
    "sha256": "sha256 = sha256('x')",
    "path": "original_path = 'b.png'",
    "collection": "collection = 'avatars'",
    "entity": "content_type = 'artist', object_id = '7', variant = 'cover'",
    "type": "content_type_header = 'image/gif'",
    "url": "image_data = NULL, image_url = 'https://bucket.example/a.png'",
    "trash": "deleted_at = now()",
}


def changed(database: Database) -> tuple:
    return database.query("SELECT changed_xid::text, updated_at FROM image_cache")[0]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_change_moves_the_row_to_the_end_of_the_order(database: Database, change: str) -> None:
    insert_row(database, {})
    before = changed(database)
    database.query(f"UPDATE image_cache SET {change}")
    after = changed(database)
    assert int(after[0]) > int(before[0]) and after[1] > before[1]


def test_touch_does_not_move_it(database: Database) -> None:
    insert_row(database, {})
    before = changed(database)
    database.query("UPDATE image_cache SET last_accessed = now(), access_count = access_count + 1")
    database.query("UPDATE image_cache SET source_mtime = now(), source_mtime_ns = 5")
    assert changed(database) == before


# Tombstones

TOMBSTONES = "SELECT collection, original_path, content_type FROM image_tombstone ORDER BY id"


def test_deleted_row_leaves_its_key(database: Database) -> None:
    insert_row(database, {"original_path": "a.png", "content_type": "artist", "object_id": "7", "variant": "cover"})
    insert_row(database, {"original_path": "b.png"})
    database.query("DELETE FROM image_cache")
    assert sorted(database.query(TOMBSTONES)) == [("media", "a.png", "artist"), ("media", "b.png", None)]
    assert database.value("SELECT min(changed_xid::text::bigint) > 0 FROM image_tombstone")


def test_renamed_row_leaves_its_old_key(database: Database) -> None:
    insert_row(database, {"original_path": "a.png"})
    database.query("UPDATE image_cache SET original_path = 'b.png'")
    database.query("UPDATE image_cache SET content_type = 'artist', object_id = '7', variant = 'cover'")
    assert database.query(TOMBSTONES) == [("media", "a.png", None), ("media", "b.png", None)]


def test_trash_and_touch_leave_none(database: Database) -> None:
    insert_row(database, {})
    database.query("UPDATE image_cache SET deleted_at = now()")
    database.query("UPDATE image_cache SET deleted_at = NULL, last_accessed = now(), original_path = original_path")
    assert database.query(TOMBSTONES) == []


# Counters

COUNTED = """
SELECT collection, accessed_on, images, bytes, linked_images, linked_bytes, trash_images, trash_bytes FROM (
    SELECT collection, accessed_on, sum(images) AS images, sum(bytes) AS bytes, sum(linked_images) AS linked_images,
           sum(linked_bytes) AS linked_bytes, sum(trash_images) AS trash_images, sum(trash_bytes) AS trash_bytes
    FROM image_count GROUP BY 1, 2) AS c
WHERE (images, bytes, linked_images, linked_bytes, trash_images, trash_bytes) IS DISTINCT FROM (0, 0, 0, 0, 0, 0)
ORDER BY 1, 2
"""
REAL = """
SELECT collection, (last_accessed AT TIME ZONE 'UTC')::date,
       count(*) FILTER (WHERE deleted_at IS NULL),
       coalesce(sum(file_size) FILTER (WHERE deleted_at IS NULL), 0),
       count(*) FILTER (WHERE deleted_at IS NULL AND image_url IS NOT NULL),
       coalesce(sum(file_size) FILTER (WHERE deleted_at IS NULL AND image_url IS NOT NULL), 0),
       count(*) FILTER (WHERE deleted_at IS NOT NULL),
       coalesce(sum(file_size) FILTER (WHERE deleted_at IS NOT NULL), 0)
FROM image_cache GROUP BY 1, 2 ORDER BY 1, 2
"""

# Each takes the same two numbers: which rows, and a value for them.
OPERATIONS = (
    "DELETE FROM image_cache WHERE id %% 7 = %(rows)s %% 7",
    "UPDATE image_cache SET deleted_at = now() WHERE id %% 5 = %(rows)s %% 5",
    "UPDATE image_cache SET deleted_at = NULL WHERE id %% 3 = %(rows)s %% 3",
    "UPDATE image_cache SET last_accessed = now() - make_interval(days => %(value)s) WHERE id %% 4 = %(rows)s %% 4",
    "UPDATE image_cache SET access_count = access_count + 1 WHERE id %% 2 = %(rows)s %% 2",
    "UPDATE image_cache SET image_data = repeat('YWJj', %(value)s + 1), file_size = 3 * (%(value)s + 1),"
    " image_url = NULL WHERE id %% 6 = %(rows)s %% 6",
    "UPDATE image_cache SET image_data = NULL, image_url = 'https://bucket.example/' WHERE id %% 8 = %(rows)s %% 8",
    "UPDATE image_cache SET collection = 'avatars' WHERE collection = 'media' AND id %% 9 = %(rows)s %% 9",
    "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256)"
    " SELECT p, 'YWJj', 3, 'image/png', sha256('abc') FROM unnest(array['a.png', 'b.png', 'c.png']) AS p"
    " ON CONFLICT (collection, original_path) DO UPDATE SET deleted_at = NULL, last_accessed = now()",
)


def scramble(database: Database, writer: int) -> None:
    """Sixty transactions of one to three statements each, a fifth of them rolled back."""
    rng = random.Random(writer)
    connection = database.server.connect(database.name, autocommit=False)
    cursor = connection.cursor()
    cursor.execute("SET deadlock_timeout = '10ms'")
    connection.commit()
    for number in range(60):
        try:
            for _ in range(rng.randint(1, 3)):
                if rng.random() < 0.4:
                    for n in range(rng.randint(1, 5)):
                        path = f"{writer}/{number}/{rng.random()}/{n}.png"
                        data = rng.randbytes(rng.randint(1, 500))
                        insert(cursor, path, data, accessed=f"2026-01-{rng.randint(1, 28)}")
                else:
                    values = {"rows": rng.randrange(1000), "value": rng.randrange(100)}
                    cursor.execute(rng.choice(OPERATIONS), values)
            connection.rollback() if rng.random() < 0.2 else connection.commit()
        except (DeadlockDetected, UniqueViolation):
            connection.rollback()
    connection.close()


def test_counters_follow_concurrent_writers(database: Database) -> None:
    with ThreadPoolExecutor(5) as writers:
        list(writers.map(lambda writer: scramble(database, writer), range(5)))
    real = database.query(REAL)
    assert len(real) > 10 and database.query(COUNTED) == real


def test_truncate_empties_the_counters(database: Database) -> None:
    insert_row(database, {})
    database.query("TRUNCATE image_cache")
    assert database.query("SELECT * FROM image_count") == []
    insert_row(database, {})
    assert database.query(COUNTED) == database.query(REAL)


def test_rows_copied_within_the_table_are_counted(database: Database) -> None:
    insert_row(database, {"original_path": "a.png"})
    insert_row(database, {"original_path": "b.png"})
    columns = "original_path, image_data, file_size, content_type_header, sha256"
    database.query(f"INSERT INTO image_cache (collection, {columns}) SELECT 'avatars', {columns} FROM image_cache")
    assert database.query(COUNTED) == database.query(REAL)
    assert database.value("SELECT sum(images) FROM image_count") == 4


def test_touch_within_a_day_writes_no_counter(database: Database) -> None:
    insert_row(database, {})
    before = database.query("SELECT xmin::text, * FROM image_count")
    database.query("UPDATE image_cache SET access_count = access_count + 1, content_type_header = 'image/gif'")
    assert database.query("SELECT xmin::text, * FROM image_count") == before


def test_writers_spread_over_slots(database: Database) -> None:
    """The slot is that of the connection: two that differ do not wait for each other's counters."""
    first, second = database.server.connect(database.name, False), database.server.connect(database.name, False)
    while first.info.backend_pid % 16 == second.info.backend_pid % 16:
        second = database.server.connect(database.name, False)
    insert(first.cursor(), "a.png")
    second.cursor().execute("SET lock_timeout = '2s'")
    insert(second.cursor(), "b.png")
    second.commit()
    first.commit()
    first.close()
    second.close()
    assert database.query(COUNTED) == database.query(REAL)
