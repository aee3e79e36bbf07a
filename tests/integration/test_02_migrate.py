"""`migrate`: up, down, status, many at once, and databases that something else has been at."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import images
import pytest
from conftest import TESTS, Database, Perdura, Served
from pooler import PgBouncer
from servers import wait_until
from test_01_config import NEEDS_DATABASE

NAMES = sorted(path.name.removesuffix(".up.sql") for path in (TESTS.parent / "migrations").glob("*.up.sql"))


def schema(database: Database) -> str:
    """What pg_dump -s says, without the lines that differ from run to run."""
    dump = subprocess.run(
        [database.server._bin / "pg_dump", "-s", "-d", database.url], check=True, capture_output=True, text=True
    ).stdout
    return "\n".join(line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def states(perdura: Perdura) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in perdura.run("migrate", "status", "--json").json}


def test_up_makes_the_tables_and_says_so(unmigrated: Perdura) -> None:
    assert states(unmigrated) == dict.fromkeys(NAMES, "pending")
    assert unmigrated.run("migrate").stdout.splitlines() == [f"applied {name}" for name in NAMES]
    assert states(unmigrated) == dict.fromkeys(NAMES, "applied")
    assert unmigrated.run("status", "--json").json["images"] == 0


def test_up_again_does_nothing(perdura: Perdura) -> None:
    before = perdura.database.query("SELECT * FROM schema_migration ORDER BY version")
    assert perdura.run("migrate", "up").stdout == "the database is up to date\n"
    assert perdura.database.query("SELECT * FROM schema_migration ORDER BY version") == before


def test_dry_run_changes_nothing(unmigrated: Perdura) -> None:
    empty = schema(unmigrated.database)
    assert unmigrated.run("migrate", "--dry-run").stdout.splitlines() == [f"would apply {name}" for name in NAMES]
    assert schema(unmigrated.database) == empty

    unmigrated.run("migrate")
    full = schema(unmigrated.database)
    told = unmigrated.run("migrate", "down", "all", "--dry-run").stdout.splitlines()
    assert told == [f"would roll back {name}" for name in reversed(NAMES)]
    assert schema(unmigrated.database) == full


def test_down_all_and_up_again_leaves_the_same_schema(unmigrated: Perdura) -> None:
    unmigrated.run("migrate")
    full = schema(unmigrated.database)
    told = unmigrated.run("migrate", "down", "all").stdout.splitlines()
    assert told == [f"rolled back {name}" for name in reversed(NAMES)]
    assert unmigrated.database.query("SELECT relname FROM pg_stat_user_tables") == [("schema_migration",)]
    assert unmigrated.database.value("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace") == 0
    unmigrated.run("migrate")
    assert schema(unmigrated.database) == full


def test_each_down_takes_back_just_what_its_up_made(empty_database: Database) -> None:
    folder = TESTS.parent / "migrations"
    before = []
    for name in NAMES:
        before.append(schema(empty_database))
        empty_database.query((folder / f"{name}.up.sql").read_text())
    for name in reversed(NAMES):
        empty_database.query((folder / f"{name}.down.sql").read_text())
        assert schema(empty_database) == before.pop(), name


def test_down_takes_back_the_newest(perdura: Perdura) -> None:
    assert perdura.run("migrate", "down", "2").stdout.splitlines() == [
        f"rolled back {NAMES[-1]}",
        f"rolled back {NAMES[-2]}",
    ]
    assert list(states(perdura).values()) == ["applied"] * (len(NAMES) - 2) + ["pending"] * 2


def test_eight_at_once(unmigrated: Perdura) -> None:
    """Each migration is applied by exactly one of them, and none fails."""
    running = [
        unmigrated.start("migrate", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(8)
    ]
    outputs = [process.communicate(timeout=60) for process in running]
    assert [(process.returncode, err) for process, (_, err) in zip(running, outputs)] == [(0, "")] * 8
    told = sorted(line for out, _ in outputs for line in out.splitlines() if line != "the database is up to date")
    assert told == [f"applied {name}" for name in NAMES]
    assert unmigrated.database.value("SELECT count(*) FROM schema_migration") == len(NAMES)


@pytest.mark.parametrize("args", [("up",), ("up", "--dry-run"), ("down", "1")])
def test_edited_migration_is_refused_by_name(perdura: Perdura, args: tuple[str, ...]) -> None:
    perdura.run("migrate", "down", "1")
    perdura.database.query("UPDATE schema_migration SET checksum = repeat('0', 64) WHERE name = %s", NAMES[1])
    before = schema(perdura.database)
    result = perdura.run("migrate", *args, check=False)
    assert result.code == 1
    assert NAMES[1] in result.stderr and "changed" in result.stderr
    assert schema(perdura.database) == before
    assert perdura.database.value("SELECT count(*) FROM schema_migration") == len(NAMES) - 1
    assert states(perdura)[NAMES[1]] == "changed"


@pytest.mark.parametrize("args", [("up",), ("up", "--dry-run"), ("down", "all")])
def test_unknown_newer_migration_is_refused_by_name(perdura: Perdura, args: tuple[str, ...]) -> None:
    perdura.run("migrate", "down", "1")
    perdura.database.query("INSERT INTO schema_migration VALUES (9001, '9001_from_the_future', repeat('0', 64))")
    before = schema(perdura.database)
    result = perdura.run("migrate", *args, check=False)
    assert result.code == 1
    assert "9001_from_the_future" in result.stderr
    assert schema(perdura.database) == before
    assert states(perdura)["9001_from_the_future"] == "unknown"


def test_migration_that_fails_leaves_nothing_of_itself(unmigrated: Perdura) -> None:
    """A function of the app's has the name of one of ours: those before it stay applied, its own is rolled back whole."""
    unmigrated.database.query("CREATE FUNCTION image_listen() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    result = unmigrated.run("migrate", check=False)
    assert result.code == 1
    failed = NAMES.index("0006_image_notify")
    assert NAMES[failed] in result.stderr and '"image_listen" already exists' in result.stderr
    assert list(states(unmigrated).values()) == ["applied"] * failed + ["pending"] * (len(NAMES) - failed)
    assert unmigrated.database.value("SELECT to_regclass('cache_invalidation')") is None

    unmigrated.database.query("DROP FUNCTION image_listen()")
    assert unmigrated.run("migrate").stdout.splitlines() == [f"applied {name}" for name in NAMES[failed:]]


def test_app_tables_are_left_alone(unmigrated: Perdura) -> None:
    unmigrated.database.query("CREATE TABLE product (id int)")
    unmigrated.run("migrate")
    unmigrated.run("migrate", "down", "all")
    assert unmigrated.database.value("SELECT to_regclass('product')") == "product"


# Taking back what holds something

IMAGE = (
    "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256)"
    " SELECT 'p' || n, 'YWJj', 3, 'image/png', sha256('abc') FROM generate_series(1, %s) n"
)
UPLOAD = (
    "INSERT INTO upload (temp_filename, collection, content_type_header, file_size, sha256, image_data)"
    " VALUES ('t.png', 'media', 'image/png', 3, sha256('abc'), 'YWJj')"
)


def fill(database: Database) -> None:
    database.query(IMAGE, 5)
    database.query("UPDATE image_cache SET deleted_at = now() WHERE original_path = 'p1'")
    database.query(UPLOAD)


@pytest.mark.parametrize("flags", [(), ("--json",), ("--dry-run",)])
def test_down_is_refused_while_something_is_stored(perdura: Perdura, flags: tuple[str, ...]) -> None:
    """Standard input is not a terminal here: nobody could have been asked."""
    fill(perdura.database)
    before = schema(perdura.database)
    result = perdura.run("migrate", "down", "all", *flags, check=False)
    assert result.code == 1
    assert "4 images, 1 image in the trash" in result.stderr and "1 upload" in result.stderr
    assert "--force" in result.stderr
    assert schema(perdura.database) == before
    assert set(states(perdura).values()) == {"applied"}


def test_down_with_force_drops_it(perdura: Perdura) -> None:
    fill(perdura.database)
    told = perdura.run("migrate", "down", "all", "--force", "--dry-run").stdout.splitlines()
    assert told[-1] == "would drop: 1 upload, 4 images, 1 image in the trash"
    assert perdura.database.value("SELECT count(*) FROM image_cache") == 5
    told = perdura.run("migrate", "down", "all", "--force").stdout.splitlines()
    assert told == [f"rolled back {name}" for name in reversed(NAMES)] + [
        "dropped: 1 upload, 4 images, 1 image in the trash"
    ]
    assert perdura.database.value("SELECT to_regclass('image_cache')") is None


def test_down_of_what_holds_no_image_is_done(perdura: Perdura) -> None:
    """An index or a column that can be filled again: images stay, so nobody is asked."""
    fill(perdura.database)
    back = [name for name in reversed(NAMES) if name > "0009"]
    perdura.run("migrate", "down", str(len(back)))
    assert perdura.database.value("SELECT count(*) FROM image_cache") == 5
    result = perdura.run("migrate", "down", "6", check=False)  # down to 0004, which holds uploads
    assert result.code == 1 and "1 upload would be dropped" in result.stderr
    perdura.run("migrate")
    assert perdura.database.value("SELECT sum(images) FROM image_count") == 4


def test_down_keeps_in_mind_who_moved_an_image_to_the_trash(perdura: Perdura) -> None:
    """Without that mark, the next feed would take the file for deleted by somebody."""
    perdura.database.query(IMAGE, 3)
    perdura.database.query("UPDATE image_cache SET deleted_at = now(), cleaned_up = true, cleaned_at = now()")
    count = len([name for name in NAMES if name >= "0006"])
    result = perdura.run("migrate", "down", str(count), check=False)
    assert result.code == 1 and "3 marks" in result.stderr


def test_force_is_for_down(perdura: Perdura) -> None:
    assert perdura.run("migrate", "up", "--force", check=False).code == 2


def test_json_says_what_is_applied_now(unmigrated: Perdura) -> None:
    assert {entry["state"] for entry in unmigrated.run("migrate", "--dry-run", "--json").json} == {"pending"}
    applied = unmigrated.run("migrate", "--json").json
    assert {entry["state"] for entry in applied} == {"applied"} and all(entry["applied_at"] for entry in applied)
    assert {entry["state"] for entry in unmigrated.run("migrate", "down", "2", "--json").json} == {"pending"}


# Beside others

INDEX = "0012_image_cleaned_up"


def open_transaction(database: Database, statement: str):
    connection = database.server.connect(database.name, autocommit=False)
    connection.cursor().execute(statement)
    return connection


def waiting(database: Database, what: str) -> bool:
    return database.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND wait_event_type = 'Lock'", what)


def slot(connection) -> int:
    """The counters that this connection's changes go to, before migration 0010."""
    return connection.info.backend_pid % 16


def test_open_transaction_postpones_a_migration_and_blocks_nobody_else(perdura: Perdura) -> None:
    """It holds the table; the migration asks for its lock now and then, and lets other writers through meanwhile."""
    perdura.run("migrate", "down", str(len([name for name in NAMES if name >= "0010"])))
    holder = open_transaction(perdura.database, IMAGE % 1)
    migrating = perdura.start("migrate", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: waiting(perdura.database, "%ADD COLUMN cleaned_at%"), 60, "the migration's try")
    writer = perdura.database.connect()
    while slot(writer) == slot(holder):
        writer.close()
        writer = perdura.database.connect()
    writer.cursor().execute("SET lock_timeout = '10s'")
    for number in range(20):
        writer.cursor().execute(IMAGE.replace("'p'", f"'w{number}/'") % 1)
    writer.close()
    assert migrating.poll() is None
    holder.commit()
    holder.close()
    out, err = migrating.communicate(timeout=60)
    assert (migrating.returncode, err) == (0, "") and "applied 0010" in out
    assert perdura.database.value("SELECT sum(images) FROM image_count") == 21


def test_index_is_built_beside_old_programs_that_wait_for_their_lock(perdura: Perdura) -> None:
    """Version 0.1.0 waits for its lock with a snapshot, for which CREATE INDEX CONCURRENTLY waits: whoever builds the
    index must not hold that lock meanwhile."""
    perdura.run("migrate", "down", "1")
    lock = "SELECT pg_advisory_xact_lock(88101120521829)"
    holder = open_transaction(perdura.database, lock)
    with ThreadPoolExecutor(1) as old:
        waits = old.submit(perdura.database.query, lock)
        wait_until(lambda: waiting(perdura.database, lock), 60, "the old program")
        migrating = perdura.start("migrate", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: waiting(perdura.database, "%CREATE INDEX CONCURRENTLY%"), 60, "the new one")
        finally:
            holder.rollback()
            holder.close()
        waits.result(timeout=60)
    out, err = migrating.communicate(timeout=60)
    assert (migrating.returncode, out, err) == (0, f"applied {INDEX}\n", "")


def test_index_of_an_interrupted_build_is_built_again(perdura: Perdura) -> None:
    """The program, or the server, ended in the middle: what is left is invalid and would never be used."""
    perdura.run("migrate", "down", "1")
    reader = open_transaction(perdura.database, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.cursor().execute("SELECT count(*) FROM image_cache")
    migrating = perdura.start("migrate", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: waiting(perdura.database, "%CREATE INDEX CONCURRENTLY%"), 60, "the index to wait for the reader")
    migrating.kill()
    migrating.communicate()
    perdura.database.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%CREATE INDEX CONCURRENTLY%'"
        " AND pid <> pg_backend_pid()"
    )
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'image_cache_cleaned_up'::regclass"
    wait_until(lambda: perdura.database.query(valid) == [(False,)], 60, "the invalid index")
    reader.rollback()
    reader.close()
    assert perdura.run("migrate").stdout == f"applied {INDEX}\n"
    assert perdura.database.query(valid) == [(True,)]


def test_index_that_was_built_and_not_recorded_stays(perdura: Perdura) -> None:
    perdura.database.query("DELETE FROM schema_migration WHERE name = %s", INDEX)
    before = perdura.database.value("SELECT 'image_cache_cleaned_up'::regclass::oid")
    assert perdura.run("migrate").stdout == f"applied {INDEX}\n"
    assert perdura.database.value("SELECT 'image_cache_cleaned_up'::regclass::oid") == before


def test_no_session_keeps_a_lock_or_a_setting(perdura: Perdura, serve: Callable[..., object]) -> None:
    perdura.run("migrate", "down", "1")
    serve()
    applied = "SELECT count(*) FROM schema_migration WHERE name = %s"
    wait_until(lambda: perdura.database.value(applied, INDEX), 60, "the index")
    wait_until(
        lambda: not perdura.database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 60, "no lock"
    )


def test_index_waits_for_a_direct_connection(perdura: Perdura) -> None:
    """Behind a pooler the lock would stay with a connection that nobody can name."""
    perdura.run("migrate", "down", "1")
    with PgBouncer(perdura.folder / "pooler", perdura.database.server) as pooler:
        through = {"DATABASE_URL": pooler.url(perdura.database.name), "PERDURA_DB_PREPARED": "off"}
        result = perdura.run("migrate", env=through)
        assert "PERDURA_LISTEN_URL" in result.stderr and INDEX in result.stderr
        assert states(perdura)[INDEX] == "pending"
        assert perdura.database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
        direct = {**through, "PERDURA_LISTEN_URL": perdura.database.url}
        assert perdura.run("migrate", env=direct).stdout == f"applied {INDEX}\n"


def test_restore_does_not_wait_for_a_migration(perdura: Perdura, serve: Callable[..., object]) -> None:
    """As long as a transaction (a backup, say) holds the table, files come back on the schema that is there."""
    (perdura.media / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    perdura.run("cache-all")
    (perdura.media / "a.png").unlink()
    perdura.run("migrate", "down", str(len([name for name in NAMES if name >= "0010"])))
    holder = open_transaction(perdura.database, "LOCK TABLE image_cache IN ACCESS SHARE MODE")
    serve()
    wait_until((perdura.media / "a.png").exists, 60, "the file")
    assert states(perdura)["0010_counters_and_guards"] == "pending"
    holder.rollback()
    holder.close()
    wait_until(lambda: set(states(perdura).values()) == {"applied"}, 60, "the migrations")


# Applied files, and a schema that is newer than the program


def test_file_that_is_missing_here_is_an_error(perdura: Perdura) -> None:
    """Applied between ours: that is another program's history, and not a newer one."""
    perdura.database.query("INSERT INTO schema_migration VALUES (0, '0000_of_somebody_else', repeat('0', 64))")
    result = perdura.run("migrate", check=False)
    assert result.code == 1 and "0000_of_somebody_else" in result.stderr and "missing" in result.stderr


def test_newer_schema_is_no_error(perdura: Perdura) -> None:
    """After a rollback the release command must not fail: programs run on the schema of the next version."""
    perdura.database.query("INSERT INTO schema_migration VALUES (9001, '9001_from_the_future', repeat('0', 64))")
    assert perdura.run("migrate").stdout == "the database is up to date\n"
    result = perdura.run("migrate", "down", "1", check=False)
    assert result.code == 1 and "9001_from_the_future" in result.stderr


@pytest.mark.parametrize("args", [a for a in NEEDS_DATABASE if a[0] != "migrate"], ids=lambda args: args[0])
def test_other_commands_say_to_migrate_first(unmigrated: Perdura, args: tuple[str, ...]) -> None:
    (unmigrated.folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    (unmigrated.media / "b.png").write_bytes((unmigrated.folder / "a.png").read_bytes())
    result = unmigrated.run(*args, check=False)
    assert result.code == 1
    assert "run `perdura migrate`" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_tables_may_lie_in_a_schema_of_their_own(unmigrated: Perdura) -> None:
    unmigrated.database.query("CREATE SCHEMA perdura")
    unmigrated.env["DATABASE_URL"] += "&options=-csearch_path%3Dperdura"
    unmigrated.run("migrate")
    (unmigrated.media / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0")
    unmigrated.run("cache-all")
    assert unmigrated.database.value("SELECT count(*) FROM perdura.image_cache") == 1
    # Whoever writes by hand has another search path; the counters must find their table all the same.
    unmigrated.database.query("DELETE FROM perdura.image_cache")
    assert unmigrated.run("status", "--json").json["images"] == 0


def test_tables_may_be_moved_into_another_schema(perdura: Perdura) -> None:
    """As by a dump that is restored into it. The functions have the search path that they were made with."""
    server, name = perdura.database.server, perdura.database.name
    perdura.database.query("ALTER SCHEMA public RENAME TO app")
    perdura.database.query("CREATE SCHEMA public")
    server.execute(f"ALTER DATABASE {name} SET search_path = app")
    (perdura.media / "b.png").write_bytes(images.make("png", 1))
    assert "run `perdura migrate`" in perdura.run("cache-all", check=False).stderr
    assert "search paths of functions corrected" in perdura.run("migrate").stderr
    perdura.run("cache-all")
    assert perdura.database.value("SELECT count(*) FROM app.image_cache") == 1
    assert perdura.run("status", "--json").json["images"] == 1
    perdura.database.query("DELETE FROM app.image_cache")
    assert perdura.database.value("SELECT count(*) FROM app.image_tombstone") == 1
    assert "corrected" not in perdura.run("migrate").stderr


def future(perdura: Perdura, compatible_from: str | None) -> None:
    perdura.database.query(
        "INSERT INTO schema_migration (version, name, checksum, compatible_from) VALUES (9001, '9001_future', 'x', %s)",
        compatible_from,
    )


@pytest.mark.parametrize("compatible_from", [None, "0.0.1"])
def test_newer_schema_is_reported_and_files_are_stored(
    perdura: Perdura, serve: Callable[..., Served], compatible_from: str | None
) -> None:
    future(perdura, compatible_from)
    http = serve()
    wait_until(lambda: "schema newer than this program" in http.shown(), 60, "the log line")
    ready = http.get("/ready")
    assert (ready.status, ready.json["ready"], ready.json["schema"]) == (200, True, "newer")
    assert http.put("/media/a.png", images.make("png", 1)).status == 201
    assert "newer than this program" in perdura.run("status").stdout
    assert perdura.run("status", "--json").json["schema"] == "newer"


def test_schema_that_forbids_older_programs_to_write(perdura: Perdura, serve: Callable[..., Served]) -> None:
    image = images.make("png", 1)
    (perdura.folder / "b.png").write_bytes(image)
    perdura.run("put", perdura.folder / "b.png", "a.png")
    future(perdura, "99.0")
    http = serve()
    wait_until(lambda: "writes refused" in http.shown(), 60, "the log line")
    ready = http.get("/ready")
    assert (ready.status, ready.json["schema"]) == (503, "newer, writes refused")
    assert "99.0" in http.put("/media/c.png", image).problem(503)
    assert http.get("/media/a.png").body == image
    http.stop()
    (perdura.media / "b.png").write_bytes(image)
    result = perdura.run("cache-all", check=False)
    assert result.code != 0 and "99.0" in result.stderr
    assert perdura.database.query("SELECT original_path FROM image_cache") == [("a.png",)]
