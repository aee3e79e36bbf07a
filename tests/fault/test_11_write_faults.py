"""Files are written while the database locks rows, cancels statements, refuses images, is read-only, is full, or grants
too little: what can be stored is stored at once, and everything else has its reason.

FAULT_SECONDS is how long the database is read-only (6; the long form is 60).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import images
import psycopg2
import pytest
from conftest import Database, Perdura, Served
from http_client import url_of
from servers import Postgres, wait_until, within

SECONDS = int(os.environ.get("FAULT_SECONDS", "6"))
SOON_S = 60
SECONDS_S = 5  # what is promised
LOCKED = "locked.png"

Serve = Callable[..., Served]


def picture(path: Path, seed: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.make("png", seed))


def is_stored(database: Database, path: str) -> bool:
    return database.value("SELECT count(*) FROM image_cache WHERE original_path = %s AND deleted_at IS NULL", path) == 1


def content(database: Database, path: str) -> str:
    return database.value("SELECT encode(sha256, 'hex') FROM image_cache WHERE original_path = %s", path)


def store_first(http: Served, *paths: str) -> None:
    """Files that have a row before anything happens to it."""
    for path in paths:
        picture(http.perdura.media / path, seed=("first", path))
    within(lambda: all(is_stored(http.perdura.database, path) for path in paths), SOON_S, "the first rows")
    assert http.post("/image-cache/flush").status == 200


def write_many(http: Served, count: int, seed: str = "many") -> None:
    for i in range(count):
        picture(http.perdura.media / f"{seed}/{i}.png", seed=(seed, i))


def all_many(http: Served, count: int, seed: str = "many") -> Callable[[], bool]:
    query = "SELECT count(*) FROM image_cache WHERE original_path LIKE %s AND deleted_at IS NULL"
    return lambda: http.perdura.database.value(query, f"{seed}/%") == count


def listed(http: Served) -> dict[str, dict[str, Any]]:
    """The files that are not persisted, by path, as status has them, and /ready where the tables are locked."""
    status = http.get("/image-cache/status")
    return {file["path"]: file for file in (status if status.status == 200 else http.get("/ready")).json["unpersisted"]}


def has_reason(http: Served, path: str, *words: str) -> bool:
    reason = listed(http).get(path, {}).get("reason", "")
    return bool(reason) and all(word in reason for word in words)


@contextmanager
def transaction(database: Database, statement: str, *values: Any) -> Iterator[psycopg2.extensions.cursor]:
    """One that has executed the statement and stays open."""
    with closing(database.connect()) as connection:
        connection.autocommit = False
        cursor = connection.cursor()
        cursor.execute(statement, values)
        yield cursor
        connection.rollback()


def lock_row(database: Database, path: str) -> Any:
    return transaction(database, "SELECT 1 FROM image_cache WHERE original_path = %s FOR UPDATE", path)


# Locks


@pytest.mark.parametrize("pool", ["4", "2"])
def test_a_locked_row_delays_no_other_file(serve: Serve, pool: str) -> None:
    http = serve(PERDURA_DB_POOL=pool)
    store_first(http, LOCKED)
    before = content(http.perdura.database, LOCKED)
    with lock_row(http.perdura.database, LOCKED):
        picture(http.perdura.media / LOCKED, seed="second")
        write_many(http, 200)
        within(all_many(http, 200), SECONDS_S, "the files that nobody locks")
        wait_until(lambda: has_reason(http, LOCKED, "lock"), SOON_S, "the reason of the locked one")
        assert listed(http)[LOCKED]["state"] == "pending"
        wait_until(lambda: http.get("/ready").json["pending"] == 1, SOON_S, "the locked one alone to wait")
        assert content(http.perdura.database, LOCKED) == before
        write_many(http, 20, "more")
        within(all_many(http, 20, "more"), SECONDS_S, "files that are written while one is locked")
    wait_until(lambda: content(http.perdura.database, LOCKED) != before, SOON_S, "the locked one")
    assert http.post("/image-cache/flush").status == 200 and not listed(http)


def test_slow_statements_delay_other_files_for_seconds(serve: Serve) -> None:
    """As many as there are threads that store, each of which would wait for its statement."""
    http = serve()
    database = http.perdura.database
    store_first(http, "first.png")
    database.query(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.original_path LIKE 'slow%%' THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER slow BEFORE INSERT ON image_cache FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    for i in range(2):
        picture(http.perdura.media / f"slow{i}.png", seed=i)
        wait_until(
            lambda n=i: database.value(sleeping) > n or has_reason(http, "slow0.png", "cancel"),
            SOON_S,
            "a statement that takes long",
        )
    write_many(http, 20)
    within(all_many(http, 20), 3 * SECONDS_S, "the files that are stored fast")
    wait_until(lambda: has_reason(http, "slow0.png", "cancel"), SOON_S, "the reason of a slow one")
    database.query("DROP TRIGGER slow ON image_cache")
    wait_until(lambda: is_stored(database, "slow0.png") and is_stored(database, "slow1.png"), SOON_S, "the slow ones")


def test_many_locked_rows_delay_no_other_file(serve: Serve) -> None:
    http = serve()
    paths = [f"locked/{i}.png" for i in range(40)]
    store_first(http, *paths)
    database = http.perdura.database
    before = {path: content(database, path) for path in paths}
    with transaction(database, "SELECT 1 FROM image_cache WHERE original_path LIKE 'locked/%%' FOR UPDATE"):
        for path in paths:
            picture(http.perdura.media / path, seed=("second", path))
        write_many(http, 200)
        within(all_many(http, 200), 2 * SECONDS_S, "the files that nobody locks")
        assert all(content(database, path) == before[path] for path in paths)
        wait_until(lambda: all(has_reason(http, path, "lock") for path in paths), SOON_S, "the reasons")
    wait_until(lambda: all(content(database, path) != before[path] for path in paths), SOON_S, "the locked ones")


def test_an_uncommitted_insert_of_the_same_path(serve: Serve) -> None:
    """Its key is taken by a transaction that is neither committed nor rolled back: there is no row to be locked."""
    http = serve()
    store_first(http, "template.png")
    copy = (
        "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256)"
        " SELECT %s, image_data, file_size, content_type_header, sha256 FROM image_cache"
        " WHERE original_path = 'template.png'"
    )
    with transaction(http.perdura.database, copy, LOCKED):
        picture(http.perdura.media / LOCKED, seed="mine")
        write_many(http, 50)
        within(all_many(http, 50), SECONDS_S, "the others")
        wait_until(lambda: has_reason(http, LOCKED, "lock"), SOON_S, "its reason")
    wait_until(lambda: is_stored(http.perdura.database, LOCKED), SOON_S, "the locked one")


def test_a_touched_file_whose_row_is_locked_delays_no_other(serve: Serve) -> None:
    """Files whose times alone are new."""
    http = serve()
    paths = [f"touched/{i}.png" for i in range(20)]
    store_first(http, LOCKED, *paths)
    database = http.perdura.database
    late_ns = 1_900_000_000 * 10**9
    new = "SELECT count(*) FROM image_cache WHERE source_mtime > '2030-01-01' AND original_path LIKE %s"
    with lock_row(database, LOCKED):
        for path in (LOCKED, *paths):
            os.utime(http.perdura.media / path, ns=(late_ns, late_ns))
            (http.perdura.media / path).open("r+b").close()  # an event: it was closed after writing
        within(lambda: database.value(new, "touched/%") == len(paths), SECONDS_S, "the other times")
        wait_until(lambda: has_reason(http, LOCKED, "lock"), SOON_S, "the reason of the locked one")
    wait_until(lambda: database.value(new, LOCKED) == 1, SOON_S, "the time of the locked one")


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "SHARE"])
def test_a_locked_table_holds_all_files_until_it_is_free(serve: Serve, mode: str) -> None:
    http = serve()
    store_first(http, "first.png")
    mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'perdura' AND datname = current_database()"
    with transaction(http.perdura.database, f"LOCK TABLE image_cache IN {mode} MODE"):
        write_many(http, 100)
        wait_until(lambda: http.get("/metrics").body.count(b"\nperdura_pending_files 100\n"), SOON_S, "all files to wait")
    within(all_many(http, 100), 2 * SECONDS_S, "all files")
    assert http.perdura.database.value(mine) <= 5
    assert http.post("/image-cache/flush").status == 200


def test_a_locked_table_is_reported(serve: Serve) -> None:
    """As VACUUM FULL and ALTER TABLE lock it: nothing can be read of it."""
    http = serve(PERDURA_DB_POOL="2")
    store_first(http, "first.png")
    with transaction(http.perdura.database, "LOCK TABLE image_cache IN ACCESS EXCLUSIVE MODE"):
        write_many(http, 5)
        paths = [f"many/{i}.png" for i in range(5)]
        wait_until(lambda: all(has_reason(http, path, "lock") for path in paths), SOON_S, "the reasons")
        with ThreadPoolExecutor(8) as clients:  # more than there are connections: most wait for one in vain
            for answer in clients.map(http.get, ["/ready"] * 8):
                database = answer.json["database"]
                assert database["state"] == "failing" and "lock" in database["detail"], database
        lines = [line for line in http.log if "database does not accept files" in line]
        assert len(lines) == 1 and "state=failing" in lines[0] and "lock" in lines[0]
    within(all_many(http, 5), 2 * SECONDS_S, "all files")
    assert http.post("/image-cache/flush").status == 200 and state(http) == "up"


def test_connections_that_all_wait_for_a_lock_are_no_small_pool(serve: Serve) -> None:
    http = serve(PERDURA_DB_POOL="2", PERDURA_MEMORY="0")
    store_first(http, "first.png")
    ended = threading.Event()

    def read(n: int) -> None:
        while not ended.is_set():
            http.get(url_of(f"missing/{n}.png"))

    def detail() -> str:
        return http.get("/ready").json["database"]["detail"]

    readers = [threading.Thread(target=read, args=(n,)) for n in range(6)]
    with transaction(http.perdura.database, "LOCK TABLE image_cache IN ACCESS EXCLUSIVE MODE"):
        for reader in readers:
            reader.start()
        seen = wait_until(lambda: "database connections" in (text := detail()) and text, SOON_S, "the pool's reason")
        ended.set()
    for reader in readers:
        reader.join()
    assert "all 2 database connections wait for answers" in seen and "PERDURA_DB_POOL" not in seen
    wait_until(lambda: state(http) == "up", SOON_S, "the end of it")


def test_http_on_a_locked_row(serve: Serve) -> None:
    http = serve()
    store_first(http, LOCKED)
    with lock_row(http.perdura.database, LOCKED):
        put = http.put(url_of(LOCKED), images.make("png", "put"))
        assert "lock" in put.problem(503) and put.seconds < SOON_S
        delete = http.request("DELETE", url_of(LOCKED))
        assert "lock" in delete.problem(503)
        assert http.put(url_of("other.png"), images.make("png", "other")).status == 201
        assert http.get(url_of(LOCKED)).status == 200
    assert http.put(url_of(LOCKED), images.make("png", "put")).status == 200
    assert http.request("DELETE", url_of(LOCKED)).status == 204


def test_cache_all_and_restore_with_a_locked_row(perdura: Perdura) -> None:
    picture(perdura.media / LOCKED, seed="first")
    perdura.run("cache-all")
    picture(perdura.media / LOCKED, seed="second")
    for i in range(100):
        picture(perdura.media / f"other/{i}.png", seed=i)
    with lock_row(perdura.database, LOCKED):
        result = perdura.run("cache-all", "--json", check=False)
        assert result.code == 1 and (result.json["cached"], result.json["failed"]) == (100, 1)
        (error,) = result.json["errors"]
        assert error["path"] == LOCKED and "lock" in str(error)
        for path in perdura.media.rglob("*.png"):
            path.unlink()
        assert perdura.run("restore", "--all", "--json").json["restored"] == 101
    picture(perdura.media / LOCKED, seed="second")
    assert perdura.run("cache-all", "--json").json["cached"] == 1


# Images that the server does not take


def trigger(database: Database, body: str) -> None:
    """A trigger of the user's on each row of a path that names `poison`."""
    database.query(
        "CREATE FUNCTION users_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.original_path LIKE '%poison%' THEN {body} END IF; RETURN NEW; END $$"
    )
    database.query(
        "CREATE TRIGGER users_trigger BEFORE INSERT OR UPDATE ON image_cache FOR EACH ROW"
        " EXECUTE FUNCTION users_trigger()"
    )


def drop_trigger(database: Database) -> None:
    database.query("DROP TRIGGER users_trigger ON image_cache")


LOSING_S = 3

POISONS = {
    "canceled": "PERFORM pg_sleep(600);",
    "check": "RAISE 'users: no' USING ERRCODE = '23514';",
    "raise": "RAISE 'users: no';",
    "internal": "RAISE 'users: no' USING ERRCODE = 'XX000';",
    "limit": "RAISE 'users: no' USING ERRCODE = '54000';",
    "value": "RAISE 'users: no' USING ERRCODE = '22003';",
    "deadlock": "RAISE 'users: no' USING ERRCODE = '40P01';",
    "memory": "RAISE 'users: no' USING ERRCODE = '53200';",
    "lost": "PERFORM pg_terminate_backend(pg_backend_pid());",
    # A trigger's own trouble that looks like the whole database's:
    "privilege": "RAISE 'users: no' USING ERRCODE = '42501';",
    "table": "PERFORM 1 FROM a_table_that_is_gone;",
    "read-only": "RAISE 'users: no' USING ERRCODE = '25006';",
    "full": "RAISE 'users: no' USING ERRCODE = '53100';",
}


@pytest.mark.parametrize("poison", POISONS)
def test_an_image_that_the_server_does_not_take_delays_no_other(serve: Serve, poison: str) -> None:
    http = serve()
    store_first(http, "first.png")
    database = http.perdura.database
    trigger(database, POISONS[poison])
    if poison == "canceled":
        set_database(database, "statement_timeout = '1s'")
    picture(http.perdura.media / "a poison.png", seed="poison")
    write_many(http, 200)
    within(all_many(http, 200), 3 * SECONDS_S, "the others")
    wait_until(lambda: has_reason(http, "a poison.png"), SOON_S, "its reason")
    write_many(http, 20, "more")
    within(all_many(http, 20, "more"), 2 * SECONDS_S, "files that are written later")
    assert not is_stored(database, "a poison.png")
    assert len([line for line in http.log if "WARN" in line.upper() or "ERROR" in line.upper()]) < 20, http.shown()
    drop_trigger(database)
    wait_until(lambda: http.post("/image-cache/flush").status == 200, SOON_S, "the flush")
    assert is_stored(database, "a poison.png")


def test_cache_all_stores_what_a_poison_image_is_beside(perdura: Perdura) -> None:
    trigger(perdura.database, POISONS["lost"])
    for i in range(100):
        picture(perdura.media / f"{i}.png", seed=i)
    picture(perdura.media / "a poison.png", seed="poison")
    result = perdura.run("cache-all", "--json", check=False)
    assert result.code == 1 and (result.json["cached"], result.json["failed"]) == (100, 1)
    assert result.json["errors"][0]["path"] == "a poison.png"


def test_cache_all_blames_no_image_for_a_server_that_loses_connections(perdura: Perdura) -> None:
    """It does so for seconds, and each time at the same image."""
    database = perdura.database
    database.query("CREATE TABLE losses (until timestamptz)")
    database.query(f"INSERT INTO losses SELECT now() + interval '{LOSING_S} s'")
    trigger(database, f"IF clock_timestamp() < (SELECT until FROM losses) THEN {POISONS['lost']} END IF;")
    for i in range(3):
        picture(perdura.media / f"{i}.png", seed=i)
    picture(perdura.media / "a poison.png", seed="poison")
    assert perdura.run("cache-all", "--json").json["cached"] == 4


# The database as a whole


def elsewhere(database: Database, *statements: str) -> Any:
    """Runs statements from a connection to another database, as this one may be read-only, and its transactions counted.
    The first column of the last one's first row."""
    with closing(database.server.connect()) as outside:
        cursor = outside.cursor()
        for statement in statements:
            cursor.execute(statement.replace("$DATABASE", database.name))
        return cursor.fetchone()[0] if cursor.description else None


END_CONNECTIONS = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '$DATABASE'"
    " AND application_name LIKE 'perdura%'"
)


def set_database(database: Database, setting: str) -> None:
    """For all connections: those that there are end."""
    elsewhere(database, f'ALTER DATABASE "$DATABASE" SET {setting}', END_CONNECTIONS)


def transactions(server: Postgres, since: int) -> int:
    """How many the server's log shows from there on. (Its counters count autovacuum, too.) Each statement is one, but for
    the limits, which go ahead of a statement in its transaction."""
    lines = server.log.read_bytes()[since:].decode(errors="replace").splitlines()
    return sum("LOG:  execute " in line and "execute statement_limits" not in line for line in lines)


def state(http: Served) -> str:
    return http.get("/ready").json["database"]["state"]


def test_a_read_only_database_is_asked_seldom_and_then_gets_all(serve: Serve) -> None:
    """Log lines and transactions are counted while it is read-only; as many are allowed for a minute of it."""
    http = serve()
    database = http.perdura.database
    store_first(http, "first.png")
    elsewhere(database, "ALTER DATABASE \"$DATABASE\" SET log_statement = 'all'")
    set_database(database, "default_transaction_read_only = on")
    lines = len(http.log)
    write_many(http, 100)
    wait_until(lambda: "state=read-only" in "".join(http.log[lines:]), SOON_S, "the state in the log")
    since = database.server.log.stat().st_size
    time.sleep(SECONDS)  # what is measured is how often it is asked in this time
    asked, said = transactions(database.server, since), len(http.log) - lines
    print(f"\n    read-only for {SECONDS} s: {asked} transactions, {said} log lines", flush=True)
    assert said <= 5, http.shown()
    assert asked <= 30, http.shown()
    ready = http.get("/ready").json
    assert ready["database"]["state"] == "read-only" and "read-only" in ready["database"]["detail"]
    assert ready["ready"] and ready["pending"] == 100  # what is stored can be served
    status = http.get("/image-cache/status").json
    assert status["database"]["state"] == "read-only" and "read-only" in status["unpersisted"][0]["reason"]
    assert "read-only" in http.put(url_of("put.png"), images.make("png", "put")).problem(503)
    set_database(database, "default_transaction_read_only = off")
    began = time.monotonic()
    within(all_many(http, 100), SECONDS_S, "all files")
    print(f"    all stored {time.monotonic() - began:.1f} s after its end", flush=True)
    wait_until(lambda: "stored=100" in http.shown(), SOON_S, "the count of what was stored")
    assert state(http) == "up"
    assert len(http.log) - lines <= 5, http.shown()


# Missing privileges


@contextmanager
def created_role(perdura: Perdura) -> Iterator[str]:
    """A role that may do everything with the present tables, and create none."""
    name = f"app_{perdura.database.name[-8:]}".lower()
    for statement in (
        f'CREATE ROLE "{name}" LOGIN',
        f'GRANT USAGE ON SCHEMA public TO "{name}"',
        f'GRANT ALL ON ALL TABLES IN SCHEMA public TO "{name}"',
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    ):
        perdura.database.query(statement)
    yield name
    perdura.end_started()
    perdura.database.query(f'DROP OWNED BY "{name}"')
    perdura.database.query(f'DROP ROLE "{name}"')


@pytest.fixture
def role(perdura: Perdura) -> Iterator[str]:
    with created_role(perdura) as name:
        yield name


MISSING = {
    "INSERT": "INSERT ON image_cache",
    "UPDATE": "UPDATE ON image_cache",
    "count": "INSERT ON image_count",
    "usage": "USAGE ON SCHEMA public",
}


@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_privilege_is_named_and_its_grant_helps_at_once(
    perdura: Perdura, role: str, serve: Serve, missing: str
) -> None:
    database, privilege = perdura.database, MISSING[missing]
    url = database.url.replace("postgres@", f"{role}@")
    http = serve(DATABASE_URL=url)
    store_first(http, "first.png")
    if missing == "usage":
        database.query("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    database.query(f'REVOKE {privilege} FROM "{role}"')
    before = "GRANT " + privilege.split(" ON ")[0]
    picture(perdura.media / "first.png", seed="again")
    picture(perdura.media / "second.png", seed="new")
    wait_until(lambda: before in "".join(http.log), SOON_S, "the GRANT in the log")
    assert before in http.put(url_of("put.png"), images.make("png", "put")).problem(503)
    assert state(http) == "missing privilege"
    assert before in http.get("/ready").json["database"]["detail"]
    if missing != "usage":
        status = perdura.run("status", env={"DATABASE_URL": url}).stdout
        assert "writing    missing privilege: " in status and before in status
    database.query(f'GRANT {privilege} TO "{role}"')
    within(lambda: is_stored(database, "second.png"), 2 * SECONDS_S, "the file")
    wait_until(lambda: http.post("/image-cache/flush").status == 200, SOON_S, "the flush")
    assert http.put(url_of("put.png"), images.make("png", "put")).status == 201 and state(http) == "up"


def failed_lookups(server: Postgres, since: int) -> int:
    """How many lookups of rows the server's log shows as refused from there on."""
    return server.log.read_bytes()[since:].count(b"WITH ORDINALITY AS wanted (path, n)")


def feed_reads(server: Postgres, since: int) -> int:
    """Likewise of the change feed."""
    return server.log.read_bytes()[since:].count(b"pg_snapshot_xmax(pg_current_snapshot())")


def failed_scans(http: Served) -> list[str]:
    return [line for line in http.log if 'event="folder scan failed"' in line]


def serve_blind(perdura: Perdura, role: str, serve: Serve) -> tuple[Served, int]:
    """With a file, as a role that may not read rows, until some scans have failed; and where the server's log began."""
    database = perdura.database
    since = database.server.log.stat().st_size
    picture(perdura.media / "a.png", seed="a")
    database.query(f'REVOKE SELECT ON image_cache FROM "{role}"')
    http = serve(DATABASE_URL=database.url.replace("postgres@", f"{role}@"))
    wait_until(lambda: failed_lookups(database.server, since) >= 4, SOON_S, "scans")
    return http, since


def test_a_scan_that_fails_again_and_again_is_logged_once_for_each_reason(
    perdura: Perdura, role: str, serve: Serve
) -> None:
    database = perdura.database
    http, _ = serve_blind(perdura, role, serve)
    (line,) = failed_scans(http)
    assert "permission denied" in line or "GRANT" in line
    database.query(f'ALTER TABLE image_cache RENAME TO elsewhere; GRANT SELECT ON elsewhere TO "{role}"')
    wait_until(lambda: len(failed_scans(http)) > 1, SOON_S, "the next reason")
    since = database.server.log.stat().st_size
    wait_until(lambda: failed_lookups(database.server, since) >= 2, SOON_S, "scans")
    database.query("ALTER TABLE elsewhere RENAME TO image_cache")
    wait_until(lambda: http.post("/image-cache/flush").status == 200, SOON_S, "the flush")
    assert len(failed_scans(http)) == 2 and is_stored(database, "a.png")


def test_the_change_feed_pauses_before_it_reads_again_what_it_may_not(perdura: Perdura, role: str, serve: Serve) -> None:
    """Scans, which pause as well, are the clock."""
    database = perdura.database
    http, since = serve_blind(perdura, role, serve)
    assert 0 < feed_reads(database.server, since) < 100
    database.query(f'GRANT SELECT ON image_cache TO "{role}"')
    wait_until(lambda: http.post("/image-cache/flush").status == 200, SOON_S, "the flush")


def test_a_missing_privilege_on_a_function_is_named(perdura: Perdura, role: str, serve: Serve) -> None:
    """A function that one write in sixteen calls."""
    database, grant = perdura.database, "GRANT EXECUTE ON FUNCTION "
    database.query("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
    http = serve(DATABASE_URL=database.url.replace("postgres@", f"{role}@"))
    answers = (http.put(url_of(f"{n}.png"), images.make("png", n)) for n in range(1000))
    refused = next(answer for answer in answers if answer.status == 503).problem(503)
    assert grant + "public.image_count_fold(" in refused, refused
    assert state(http) == "missing privilege"
    assert grant in http.get("/ready").json["database"]["detail"]
    wait_until(lambda: grant in "".join(http.log), SOON_S, "the GRANT in the log")
    database.query(refused[refused.index(grant) :])
    wait_until(lambda: state(http) == "up", SOON_S, "the state")
    for n in range(100):
        assert http.put(url_of("a.png"), images.make("png", n)).status in (200, 201)


def test_a_read_names_the_missing_privilege(perdura: Perdura, role: str, serve: Serve) -> None:
    http = serve(DATABASE_URL=perdura.database.url.replace("postgres@", f"{role}@"))
    perdura.database.query(f'REVOKE SELECT ON image_cache FROM "{role}"')
    with ThreadPoolExecutor(20) as pool:  # many share a connection
        for answer in pool.map(http.get, [url_of(f"{n}.png") for n in range(200)]):
            lacks = "the role of DATABASE_URL lacks a privilege: "
            assert answer.problem(503) == f"{lacks}GRANT SELECT ON public.image_cache TO {role}"
    perdura.database.query(f'GRANT SELECT ON image_cache TO "{role}"')
    http.get(url_of("0.png")).problem(404)


def test_tables_are_created_as_soon_as_the_role_may(unmigrated: Perdura) -> None:
    database = unmigrated.database
    with created_role(unmigrated) as role:
        http = Served(unmigrated, {"DATABASE_URL": database.url.replace("postgres@", f"{role}@")})
        picture(unmigrated.media / "early.png", seed="early")
        grant = f"GRANT CREATE ON SCHEMA public TO {role}"
        wait_until(lambda: grant in http.shown(), SOON_S, "the GRANT in the log")
        database.query(grant)
        wait_until(lambda: database.value("SELECT to_regclass('image_cache')"), SOON_S, "the tables")
        wait_until(lambda: is_stored(database, "early.png"), SOON_S, "the file")
        wait_until(lambda: http.post("/image-cache/flush").status == 200, SOON_S, "the flush")
        http.stop()


def test_files_are_restored_as_soon_as_the_role_may_read_them(perdura: Perdura, role: str) -> None:
    picture(perdura.media / "a.png", seed="a")
    perdura.run("cache-all")
    (perdura.media / "a.png").unlink()
    perdura.database.query(f'REVOKE SELECT ON image_cache FROM "{role}"')
    settings = {"DATABASE_URL": perdura.database.url.replace("postgres@", f"{role}@"), "PERDURA_RESTORE": "block"}
    http = Served(perdura, settings)
    wait_until(lambda: "restore failed" in http.shown(), SOON_S, "the failure in the log")
    perdura.database.query(f'GRANT SELECT ON image_cache TO "{role}"')
    wait_until(lambda: (perdura.media / "a.png").exists(), SOON_S, "the file")
    http.stop()


# Rows that the server can't read

TOAST = "SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'image_cache'::regclass"


def test_a_row_that_the_server_cannot_read_stops_no_other(perdura: Perdura) -> None:
    """Its bytes are taken from under it, as by a disk: the server reports XX001 for it, and for any batch with it."""
    database = perdura.database
    content = images.sized("png", 20_000, "damaged")
    (perdura.media / "damaged.png").write_bytes(content)
    perdura.run("cache-all")
    toast = database.value(TOAST)
    chunks = database.value(f"SELECT array_agg(ctid::text) FROM {toast}")
    for i in range(150):
        picture(perdura.media / f"{i}.png", seed=i)
    perdura.run("cache-all")
    database.query("CREATE EXTENSION pg_surgery")
    database.query("SELECT heap_force_kill(%s::regclass, %s::tid[])", toast, chunks)
    with pytest.raises(psycopg2.errors.DataCorrupted):
        database.query("SELECT image_data FROM image_cache")

    result = perdura.run("fsck", "--json", check=False)
    assert (result.code, result.json["sound"], result.json["unreachable"]) == (1, 150, 1)
    assert [error["path"] for error in result.json["errors"]] == ["damaged.png"]
    for path in perdura.media.iterdir():
        path.unlink()
    result = perdura.run("restore", "--all", check=False)
    assert result.code == 1 and "damaged.png" in result.stderr
    assert len(list(perdura.media.iterdir())) == 150
    (perdura.media / "damaged.png").write_bytes(content)  # what is still on some disk replaces the row
    perdura.run("put", perdura.media / "damaged.png")
    assert perdura.run("fsck").code == 0


# Object storage


class Busy(BaseHTTPRequestHandler):
    """Object storage that answers 503 to everything."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def busy_storage(perdura: Perdura) -> Iterator[dict[str, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        "PERDURA_S3_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "PERDURA_LARGE_BUCKET": "bucket",
        "PERDURA_INLINE_MAX": "64 KiB",
    }
    server.shutdown()
    server.server_close()


def test_large_files_that_wait_for_object_storage_have_its_reason(
    perdura: Perdura, busy_storage: dict[str, str]
) -> None:
    http = Served(perdura, {"PERDURA_SHUTDOWN_TIMEOUT": "5", **busy_storage})
    began = time.monotonic()
    for i in range(3):
        (perdura.media / f"large {i}.jpg").write_bytes(images.sized("jpeg", 200_000, i))
    wait_until(lambda: "object storage does not accept files" in http.shown(), SOON_S, "the log line")
    picture(perdura.media / "small.png", seed="small")
    within(lambda: is_stored(perdura.database, "small.png"), SECONDS_S, "the small one")
    wait_until(lambda: all(has_reason(http, f"large {i}.jpg", "503") for i in range(3)), SOON_S, "the reasons")
    (perdura.media / "large 0.jpg").write_bytes(images.sized("jpeg", 200_000, "again"))
    http.terminate()
    assert http.wait() == 75
    waited_ms = (time.monotonic() - began) * 1000
    log = http.shown()
    assert log.count("object storage does not accept files") == 1
    told = [line for line in log.splitlines() if 'event="file not persisted"' in line]
    assert len(told) == 3 and all("503" in line for line in told), log
    assert all(1000 < int(line.partition("age_ms=")[2].split()[0]) <= waited_ms for line in told), told
    (end,) = [line for line in log.splitlines() if "exiting with unpersisted files" in line]
    assert "503" in end


# One item of a job


def test_fsck_goes_on_when_a_host_is_unreachable(perdura: Perdura) -> None:
    for i in range(3):
        picture(perdura.media / f"{i}.png", seed=i)
    perdura.run("cache-all")
    perdura.database.query(
        "UPDATE image_cache SET image_data = NULL, image_url = 'https://nowhere.invalid/1.png'"
        " WHERE original_path = '1.png'"
    )
    result = perdura.run("fsck", "--json", check=False, env={"PERDURA_ALLOWED_SOURCES": "nowhere.invalid"})
    assert result.code == 1
    assert (result.json["sound"], result.json["unreachable"], result.json["damaged"]) == (2, 1, 0)
    assert [error["path"] for error in result.json["errors"]] == ["1.png"]
