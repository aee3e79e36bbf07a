"""Counters and sequences that do not fit the rows, as on a logical subscriber or after a data-only restore: images are
stored all the same, and what is wrong is corrected."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import images
import pytest
from conftest import Database, Perdura, Served, at_rest
from servers import wait_until
from uploads import ORIGINS, upload

WAIT_S = 60
SEQUENCES = ("image_cache", "image_tombstone", "upload", "job_run", "cache_invalidation")


def insert_without_the_sequence(database: Database, count: int) -> None:
    """As a subscriber gets rows: with their numbers, and without a trigger."""
    database.query(
        "SET LOCAL session_replication_role = replica;"
        "INSERT INTO image_cache (id, original_path, image_data, file_size, content_type_header, sha256)"
        " OVERRIDING SYSTEM VALUE SELECT n, 'r' || n || '.png', 'YWJj', 3, 'image/png', sha256('abc')"
        " FROM generate_series((SELECT coalesce(max(id), 0) FROM image_cache) + 1,"
        " (SELECT coalesce(max(id), 0) FROM image_cache) + %s) AS n",
        count,
    )


def rewind(database: Database) -> None:
    """All sequences, behind rows of each table."""
    database.query(
        "INSERT INTO image_tombstone (collection, original_path) VALUES ('media', 'gone.png');"
        "INSERT INTO upload (temp_filename, collection, content_type_header, file_size, sha256, image_data)"
        " VALUES ('t.png', 'media', 'image/png', 3, sha256('abc'), 'YWJj');"
        "INSERT INTO job_run (kind, state, host, started_at) VALUES ('check', 'done', 'h', now());"
        "INSERT INTO cache_invalidation (pattern) VALUES ('x')"
    )
    for table in SEQUENCES:
        database.query(f"ALTER TABLE {table} ALTER id RESTART")


def corrections(http: Served) -> int:
    return http.shown().count("sequences were behind their rows")


def status(perdura: Perdura) -> int:
    return perdura.run("status", "--json").json["images"]


# Sequences


def test_image_is_stored_while_the_sequence_is_behind(http: Served) -> None:
    """It became so after the start, at which it was looked at."""
    http.put("/media/first.png", images.make("png", 0))
    insert_without_the_sequence(http.perdura.database, 30)
    answers = [http.put(f"/media/{n}.png", images.make("png", n)).status for n in range(3)]
    assert answers == [201, 201, 201] and corrections(http) == 1


def put(perdura: Perdura, http: Served) -> bool:
    return http.put("/media/second.png", images.make("png", "second")).status == 201


def cache_all(perdura: Perdura, http: Served) -> bool:
    (perdura.media / "second.png").write_bytes(images.make("png", "second"))
    return perdura.run("cache-all").code == 0


@pytest.mark.parametrize("store", [put, cache_all])
def test_image_is_stored_while_another_connection_moves_the_sequence(
    http: Served, store: Callable[[Perdura, Served], bool]
) -> None:
    """By the time its write is refused, the sequence is right. A trigger stands for the other connection."""
    http.put("/media/first.png", images.make("png", "first"))
    database = http.perdura.database
    insert_without_the_sequence(database, 30)
    database.query(
        "CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF EXISTS (SELECT FROM image_cache WHERE id = NEW.id) THEN"
        " PERFORM image_sequence_advance('image_cache'); END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER move BEFORE INSERT ON image_cache FOR EACH ROW EXECUTE FUNCTION move()"
    )
    assert store(http.perdura, http)
    assert corrections(http) == 0


def test_many_files_are_stored_while_the_sequence_is_behind(http: Served) -> None:
    http.put("/media/first.png", images.make("png", "first"))
    insert_without_the_sequence(http.perdura.database, 500)
    for n in range(100):
        (http.perdura.media / f"f{n}.png").write_bytes(images.make("png", n))
    flushed = http.request("POST", "/image-cache/flush").json
    assert flushed["persisted"] is True
    assert http.perdura.database.value("SELECT count(*) FROM image_cache WHERE original_path ~ '^f[0-9]'") == 100
    assert 1 <= corrections(http) <= 3  # each thread may come upon it


def test_cache_all_stores_while_the_sequence_is_behind(perdura: Perdura) -> None:
    insert_without_the_sequence(perdura.database, 30)
    for n in range(100):
        (perdura.media / f"f{n}.png").write_bytes(images.make("png", n))
    assert perdura.run("cache-all", "--json").json["cached"] == 100


def test_everything_else_with_a_number_is_stored_too(serve: Callable[..., Served]) -> None:
    http = at_rest(serve(PERDURA_ORIGINS=ORIGINS, PERDURA_SYNC_INTERVAL="86400"))
    http.put("/media/a.png", images.make("png", 1))
    rewind(http.perdura.database)
    assert upload(http, images.make("png", 2))
    assert http.request("POST", "/image-cache/invalidate", {"path": "a.png"}).status == 200
    assert http.request("DELETE", "/media/a.png").status == 204
    http.perdura.database.query("UPDATE image_cache SET deleted_at = now() - interval '1 year'")
    assert http.perdura.run("cleanup", "--days", "90", "--json").json["purged"] == 1
    assert http.perdura.database.value("SELECT count(*) FROM job_run WHERE kind = 'cleanup'") == 1
    assert corrections(http) == 1


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_sequences_are_corrected_at_the_start(perdura: Perdura, serve: Callable[..., Served], command: str) -> None:
    rewind(perdura.database)
    insert_without_the_sequence(perdura.database, 30)
    if command == "migrate":
        assert "image_cache" in perdura.run("migrate").stderr
    else:
        http = serve()
        wait_until(lambda: corrections(http) == 1, WAIT_S, "the correction")
    for table in SEQUENCES:
        assert perdura.database.value("SELECT image_sequence_advance(%s)", table) is False
    assert perdura.run("migrate").stderr == ""


def test_other_conflicts_are_no_matter_of_sequences(http: Served) -> None:
    """A unique index of somebody else's: refused as before, and told once."""
    http.perdura.database.query("CREATE UNIQUE INDEX mine ON image_cache (content_type_header)")
    assert http.put("/media/a.png", images.make("png", 1)).status == 201
    assert "mine" in http.put("/media/b.png", images.make("png", 2)).problem(409)
    assert corrections(http) == 0


# Counters


@pytest.mark.parametrize("command", [("migrate",), ("fsck",), ("cleanup", "--days", "90")], ids=lambda command: command[0])
def test_counters_are_corrected(perdura: Perdura, command: tuple[str, ...]) -> None:
    for n in range(3):
        (perdura.media / f"{n}.png").write_bytes(images.make("png", n))
    perdura.run("cache-all")
    perdura.database.query("UPDATE image_count SET images = images * 2, bytes = bytes * 2")
    assert status(perdura) == 6
    assert "counters corrected" in perdura.run(*command).stderr
    assert status(perdura) == 3
    assert "counters corrected" not in perdura.run(*command).stderr


def test_counters_are_never_shown_below_zero(perdura: Perdura) -> None:
    for n in range(3):
        (perdura.media / f"{n}.png").write_bytes(images.make("png", n))
    perdura.run("cache-all")
    perdura.database.query("TRUNCATE image_count")
    perdura.run("rm", "0.png")
    shown = perdura.run("status", "--json").json
    assert (shown["images"], shown["bytes"]) == (0, 0)
    assert all(value >= 0 for value in shown["collections"][0].values() if isinstance(value, int))


def test_counters_that_are_obviously_wrong_are_corrected_at_the_start(
    perdura: Perdura, serve: Callable[..., Served]
) -> None:
    insert_without_the_sequence(perdura.database, 5)
    assert status(perdura) == 0
    serve()
    wait_until(lambda: status(perdura) == 5, WAIT_S, "the right count")


def test_data_only_restore(perdura: Perdura, database: Database) -> None:
    """pg_dump's data into a database with our tables: triggers count the rows, and the dumped counters come on top."""
    for n in range(4):
        (perdura.media / f"{n}.png").write_bytes(images.make("png", n))
    perdura.run("cache-all")
    tool = database.server._bin / "pg_dump"
    dump = subprocess.run(
        [tool, "--data-only", "-t", "image_cache", "-t", "image_count", "-d", database.url], check=True, capture_output=True
    ).stdout
    database.query("TRUNCATE image_cache")
    subprocess.run(
        [database.server._bin / "psql", "-q", "-v", "ON_ERROR_STOP=1", database.url], input=dump, check=True,
        stdout=subprocess.DEVNULL,
    )
    perdura.run("migrate")
    assert status(perdura) == 4
    (perdura.media / "new.png").write_bytes(images.make("png", "new"))
    assert perdura.run("cache-all", "--json").json["cached"] == 1
    assert status(perdura) == 5
