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


def open_transactions(database: Database, count: int) -> list[psycopg2.extensions.connection]:
    """Each has inserted an image by hand and not committed it."""
    connections = [database.server.connect(database.name, autocommit=False) for _ in range(count)]
    for number, connection in enumerate(connections):
        insert(connection.cursor(), f"open/{number}.png")
    return connections


def test_open_transactions_delay_no_writer(database: Database) -> None:
    """Of 40 that are open, several would share any fixed set of 16 or 32 counters with whoever writes next."""
    connection = database.server.connect(database.name, autocommit=False)
    connection.cursor().execute("SET lock_timeout = '1ms'")
    connection.commit()
    idle = open_transactions(database, 40)
    for number in range(100):  # more than enough for some of them to add the counters up
        insert(connection.cursor(), f"{number}.png")
        connection.commit()
        connection.cursor().execute("UPDATE image_cache SET last_accessed = '2026-01-01', deleted_at = now()")
        connection.commit()
    for number, other in enumerate(idle):
        other.rollback() if number % 2 else other.commit()
        other.close()
    connection.close()
    assert database.value("SELECT count(*) FROM image_cache") == 120
    assert database.query(COUNTED) == database.query(REAL)


def test_open_bulk_update_delays_no_writer(database: Database) -> None:
    """It has changed the counters of every day, and has added some of them up."""
    for day in range(1, 29):
        insert(database.connect().cursor(), f"{day}.png", accessed=f"2026-01-{day}")
    bulk = database.server.connect(database.name, autocommit=False)
    for _ in range(50):
        bulk.cursor().execute("UPDATE image_cache SET last_accessed = last_accessed + interval '1 day'")
    writer = database.connect()
    writer.cursor().execute("SET lock_timeout = '1ms'")
    for number in range(100):
        insert(writer.cursor(), f"new/{number}.png", accessed=f"2026-01-{number % 28 + 1}")
    writer.close()
    bulk.commit()
    bulk.close()
    assert database.query(COUNTED) == database.query(REAL)


def test_counters_stay_few(database: Database) -> None:
    """However many transactions have written: counting is a sum over a few rows a day."""
    connection = database.connect()
    cursor = connection.cursor()
    for number in range(1000):
        insert(cursor, f"{number}.png", accessed="2026-01-01")
    cursor.execute("SELECT count(*) FROM image_count")
    assert cursor.fetchone()[0] < 500
    cursor.execute("SELECT image_count_recount()")
    cursor.execute("SELECT count(*), sum(images) FROM image_count")
    assert cursor.fetchone() == (1, 1000)
    cursor.execute("DELETE FROM image_cache")
    cursor.execute("SELECT image_count_recount()")
    cursor.execute("SELECT count(*) FROM image_count")
    assert cursor.fetchone()[0] == 0
    connection.close()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_counters_conflict_with_nobody_at_other_isolation_levels(database: Database, isolation: str) -> None:
    connection = database.server.connect(database.name, autocommit=False)
    connection.cursor().execute(f"SET default_transaction_isolation = '{isolation}'")
    connection.commit()
    for number in range(100):
        insert(connection.cursor(), f"{number}.png")
        database.query("UPDATE image_cache SET last_accessed = '2026-01-01'")  # behind its snapshot
        connection.commit()
    connection.close()
    assert database.query(COUNTED) == database.query(REAL)


# Counters that are wrong are counted again

WRONG = {
    "truncated": "TRUNCATE image_count",
    "truncated, then deleted": "TRUNCATE image_count; DELETE FROM image_cache WHERE original_path = 'a.png'",
    "restored twice": "UPDATE image_count SET images = images * 2, bytes = bytes * 2",
    "of days without a row": "INSERT INTO image_count VALUES ('media', '2020-01-01', 3, 5, 5, 5, 5, 5, 5)",
    "of a collection without a row": "INSERT INTO image_count VALUES ('gone', '2026-01-01', 0, -1, -1, 0, 0, 0, 0)",
    "replicated": "SET LOCAL session_replication_role = replica; INSERT INTO image_cache (original_path, image_data, file_size,"
    " content_type_header, sha256) VALUES ('r.png', 'YWJj', 3, 'image/png', sha256('abc'))",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_recount(database: Database, wrong: str) -> None:
    insert_row(database, {"original_path": "a.png"})
    insert_row(database, {"original_path": "b.png", "collection": "avatars"})
    insert_row(database, {"original_path": "c.png", "image_data": None, "image_url": "s3://bucket/c"})
    database.query("UPDATE image_cache SET deleted_at = now() WHERE original_path = 'b.png'")
    database.query(wrong)
    assert database.query(COUNTED) != database.query(REAL)
    assert database.value("SELECT image_count_recount()") > 0
    assert database.query(COUNTED) == database.query(REAL)
    assert database.value("SELECT image_count_recount()") == 0


def test_recount_is_exact_while_others_write(database: Database) -> None:
    insert_row(database, {"original_path": "first.png"})
    database.query("INSERT INTO image_count VALUES ('media', '2020-01-01', 3, 500, 5, 5, 5, 5, 5)")
    with ThreadPoolExecutor(5) as writers:
        writing = [writers.submit(scramble, database, writer) for writer in range(3)]
        while not all(writer.done() for writer in writing):
            counting = [writers.submit(database.value, "SELECT image_count_recount()") for _ in range(2)]
            assert [count.result() for count in counting] != [None, None]
    assert all(writer.result() is None for writer in writing)
    assert database.query(COUNTED) == database.query(REAL)


# Sequences that are behind their rows

NUMBERED = {
    "image_cache": "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256)"
    " VALUES (gen_random_uuid()::text, 'YWJj', 3, 'image/png', sha256('abc')) RETURNING id",
    "image_tombstone": "INSERT INTO image_tombstone (collection, original_path) VALUES ('media', 'a.png') RETURNING id",
    "job_run": "INSERT INTO job_run (kind, state, host, started_at) VALUES ('check', 'done', 'h', now()) RETURNING id",
    "cache_invalidation": "INSERT INTO cache_invalidation (pattern) VALUES ('*') RETURNING id",
    "upload": "INSERT INTO upload (temp_filename, collection, content_type_header, file_size, sha256, image_data)"
    " VALUES (gen_random_uuid()::text, 'media', 'image/png', 3, sha256('abc'), 'YWJj') RETURNING id",
}


def inserted(table: str, number: int) -> str:
    """A row with this id, as it comes where the sequence has no part in it."""
    return (
        NUMBERED[table]
        .replace(f"{table} (", f"{table} (id, ")
        .replace("VALUES (", f"OVERRIDING SYSTEM VALUE VALUES ({number}, ")
    )


@pytest.mark.parametrize(
    ("table", "behind"),
    [*((table, 20) for table in NUMBERED), *(("image_cache", behind) for behind in (1, 15_000, 40_000_000_000))],
)
def test_sequence_is_moved_past_the_rows(database: Database, table: str, behind: int) -> None:
    largest = database.value(NUMBERED[table]) + behind
    database.query(inserted(table, largest))
    assert database.value("SELECT image_sequence_advance(%s)", table) is True
    assert database.value("SELECT image_sequence_advance(%s)", table) is False
    assert database.value(NUMBERED[table]) == largest + 1


def test_sequence_never_moves_backwards(database: Database) -> None:
    """While others insert, each number is given out once."""
    insert_row(database, {"original_path": "first.png"})
    database.query(inserted("image_cache", 300))

    def write(_: int) -> int:
        refused = 0
        for _ in range(100):
            try:
                database.query(NUMBERED["image_cache"])
            except UniqueViolation:
                refused += 1
                database.value("SELECT image_sequence_advance('image_cache')")
        return refused

    with ThreadPoolExecutor(4) as writers:
        assert sum(writers.map(write, range(4))) < 10
    assert database.value("SELECT count(*) FROM image_cache") >= 392


def test_sequence_is_moved_for_a_role_without_rights_on_it(database: Database) -> None:
    insert_row(database, {"original_path": "a.png"})
    database.query("UPDATE image_cache SET id = DEFAULT")
    database.query("ALTER TABLE image_cache ALTER id RESTART")
    connection = database.connect()
    cursor = connection.cursor()
    cursor.execute("CREATE ROLE writer_of_rows")
    try:
        cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer_of_rows")
        cursor.execute("SET ROLE writer_of_rows")
        cursor.execute("SELECT image_sequence_advance('image_cache')")
        assert cursor.fetchone()[0] is True
        cursor.execute(NUMBERED["image_cache"])
        assert cursor.fetchone()[0] == 3
        cursor.execute("RESET ROLE")
    finally:
        cursor.execute("DROP OWNED BY writer_of_rows; DROP ROLE writer_of_rows")
        connection.close()


# What version 0.1.0 must not do here: its statements, as they are in its sql/

OLD_CLEANUP = """-- Puts a batch of images not accessed since $1 into the trash, the coldest first.
WITH cold AS (
    SELECT id FROM image_cache WHERE deleted_at IS NULL AND last_accessed < now() ORDER BY id LIMIT 1000
    FOR UPDATE SKIP LOCKED
), gone AS (
    UPDATE image_cache i SET deleted_at = now(), cleaned_up = true FROM cold WHERE i.id = cold.id RETURNING i.file_size
)
SELECT count(*) FROM gone
"""
OLD_PURGE = """-- Deletes for good a batch of what lies in the trash for more than $1 days. $2 limit.
WITH old AS (
    SELECT id FROM image_cache WHERE deleted_at < now() - interval '30 days' ORDER BY deleted_at LIMIT 1000
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM image_cache i USING old WHERE i.id = old.id RETURNING i.file_size
)
SELECT count(*) FROM gone
"""
OLD_FORGET = "DELETE FROM image_tombstone WHERE buried_at < now() - interval '1 day'"
STATE = "SELECT original_path, deleted_at IS NOT NULL, cleaned_up, cleaned_at IS NOT NULL FROM image_cache ORDER BY 1"


def test_old_cleaning_trashes_no_live_row(database: Database) -> None:
    for path in ("a.png", "b.png"):
        insert_row(database, {"original_path": path})
    database.query("UPDATE image_cache SET deleted_at = now() WHERE original_path = 'b.png'")
    assert database.value(OLD_CLEANUP) == 0
    assert database.query(STATE) == [("a.png", False, False, False), ("b.png", True, False, False)]
    # A row that the present cleaning had trashed is as safe when it has come back.
    database.query("UPDATE image_cache SET deleted_at = now(), cleaned_up = true, cleaned_at = now()")
    database.query("UPDATE image_cache SET deleted_at = NULL")
    assert database.value(OLD_CLEANUP) == 0
    assert database.query(STATE) == [("a.png", False, False, False), ("b.png", False, False, False)]


def test_purge_leaves_what_the_old_cleaning_has_trashed(database: Database) -> None:
    """Deleted by somebody, trashed by today's cleaning, trashed by the old one: that one stays until somebody decides."""
    for path in ("deleted.png", "cleaned.png", "undecided.png"):
        insert_row(database, {"original_path": path})
    database.query(
        "UPDATE image_cache SET deleted_at = now() - interval '1 year', cleaned_up = original_path <> 'deleted.png',"
        " cleaned_at = now() - interval '1 year'"
    )
    database.query("UPDATE image_cache SET cleaned_at = NULL WHERE original_path <> 'cleaned.png'")
    assert database.value(OLD_PURGE) == 2
    assert database.query(STATE) == [("undecided.png", True, True, False)]
    assert database.value(OLD_PURGE) == 0
    database.query("DELETE FROM image_cache")  # somebody decides
    assert database.query(STATE) == []


def test_old_cleaning_forgets_no_deleted_name(database: Database) -> None:
    for path in ("old.png", "new.png"):
        insert_row(database, {"original_path": path})
    database.query("DELETE FROM image_cache")
    database.query(
        "UPDATE image_tombstone SET buried_at = now() - CASE original_path WHEN 'old.png' THEN 401 ELSE 399 END"
        " * interval '1 day'"
    )
    database.query(OLD_FORGET)
    assert database.query("SELECT original_path FROM image_tombstone") == [("new.png",)]
