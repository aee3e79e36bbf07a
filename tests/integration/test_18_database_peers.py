"""What stands between Perdura and PostgreSQL, or says that it is PostgreSQL: poolers, proxies, servers that go, and peers that
keep to no protocol. Nothing crashes the process, counts as committed when it is not, or is taken for whole when it is not."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import hostile_postgres as hostile
import images
import pytest
from conftest import Database, Perdura, Served
from hostile_postgres import HostilePostgres, answer, close, error, on, raw, ready, rewrite
from http_client import Answer
from pooler import PgBouncer
from servers import Postgres, wait_until, within

GET = "-- One live image with its bytes."
PUT = "-- Stores a batch of images"
QUIET = {"PERDURA_RESTORE": "none", "PERDURA_MEMORY_ITEMS": "0"}

CORE = 9  # columns that every query for images begins with
IMAGE_URL = 4


@pytest.fixture
def peer(perdura: Perdura) -> Iterator[HostilePostgres]:
    with HostilePostgres(perdura.database.server) as peer:
        yield peer


@pytest.fixture
def stored(perdura: Perdura) -> str:
    """The path of an image that is in the database alone."""
    (perdura.media / "a.png").write_bytes(images.make("png", 1))
    perdura.run("cache-all")
    (perdura.media / "a.png").unlink()
    return "/media/a.png"


@pytest.fixture
def beside(perdura: Perdura, peer: HostilePostgres, serve: Callable[..., Served]) -> Served:
    return serve(DATABASE_URL=peer.url(perdura.database.name), **QUIET)


def lines(served: Served, words: str) -> list[str]:
    return [line for line in served.log if words in line]


def is_row(perdura: Perdura, path: str) -> bool:
    return perdura.database.value("SELECT count(*) > 0 FROM image_cache WHERE original_path = %s", path)


# Poolers


def test_a_pooler_in_transaction_mode_needs_no_setting(serve: Callable[..., Served], perdura: Perdura) -> None:
    """All connections share two of the server's, where what one has prepared is there for the others already. No request
    fails because of that, and one warning names the setting."""
    bodies = {f"/media/{n}.png": images.make("png", n) for n in range(40)}

    def keep(path: str) -> tuple[int, int]:
        put = http.put(path, bodies[path])
        assert put.status == 201, (put, http.shown())
        (perdura.media / path.removeprefix("/media/")).unlink(missing_ok=True)
        got = http.get(path)
        assert got.status != 200 or got.body == bodies[path]
        return put.status, got.status

    with PgBouncer(perdura.folder / "pgbouncer", perdura.database.server, pool_size=2) as pooler:
        http = serve(DATABASE_URL=pooler.url(perdura.database.name), PERDURA_DB_POOL="8", **QUIET)
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(keep, bodies)) == {(201, 200)}, http.shown()
        assert http.post("/image-cache/flush").status == 200
        assert len(lines(http, "PERDURA_DB_PREPARED")) == 1, http.shown()
        http.stop()


@pytest.mark.parametrize("sqlstate", ["42P05", "26000"])
def test_no_request_fails_when_names_stop_to_work(
    sqlstate: str, stored: str, beside: Served, peer: HostilePostgres, perdura: Perdura
) -> None:
    """Some connections of the pooler know a name and others do not: at first one of each kind fails."""
    peer.when(GET, answer(error(sqlstate)), times=1)
    peer.when(PUT, answer(error(sqlstate)), times=1)
    assert beside.get(stored).status == 200, beside.shown()
    assert beside.put("/media/b.png", images.make("png", 2)).status == 201, beside.shown()
    assert is_row(perdura, "b.png")
    assert len(lines(beside, "PERDURA_DB_PREPARED")) == 1
    beside.stop()


def test_names_that_were_asked_for_stay(serve: Callable[..., Served], perdura: Perdura, peer: HostilePostgres) -> None:
    http = serve(DATABASE_URL=peer.url(perdura.database.name), PERDURA_DB_PREPARED="on", **QUIET)
    peer.when(PUT, answer(error("42P05")))
    assert http.put("/media/b.png", images.make("png", 2)).status == 503
    assert not lines(http, "pooler in transaction mode")
    http.stop()


def test_a_statement_that_is_out_of_date_is_prepared_again(
    stored: str, beside: Served, peer: HostilePostgres, perdura: Perdura
) -> None:
    """As after a migration by a newer program."""
    changed = error("0A000", message="cached plan must not change result type", function="RevalidateCachedQuery")
    peer.when(GET, answer(changed), times=1)
    assert beside.get(stored).status == 200, beside.shown()
    assert not lines(beside, "PERDURA_DB_PREPARED")
    beside.stop()


# What other drivers write


@pytest.mark.parametrize(
    "change, named",
    [
        (lambda url: url.replace("postgresql://", "postgis://"), ""),
        (lambda url: url.replace("postgresql://", "postgresql+psycopg2://"), ""),
        (lambda url: url.replace("postgresql://", "postgres+asyncpg://"), ""),
        (lambda url: url.replace("postgresql://", "jdbc:postgresql://"), ""),
        (lambda url: url + "&pool=5&pgbouncer=true&schema=public&connection_limit=1", "pool"),
        (lambda url: url.replace("postgres@", "postgres:se%cret@", 1) + "&pool=5", "pool"),
        (lambda url: url + "&sslmode=no-verify", "no-verify"),
        (lambda url: "user=postgres pool=5 " + " ".join(url.split("?")[1].split("&")), "pool"),
    ],
)
def test_urls_of_other_drivers(change: Callable[[str], str], named: str, perdura: Perdura) -> None:
    """The command works, and says in one line what was dropped, never the password."""
    name = perdura.database.name
    folder = quote(str(perdura.database.server.socket_folder), safe="/")
    url = change(f"postgresql://postgres@/{name}?host={folder}&port={perdura.database.server.port}&dbname={name}")
    (perdura.media / "a.png").write_bytes(images.make("png", 1))
    result = perdura.run("cache-all", env={"DATABASE_URL": url})
    told = [line for line in result.stderr.splitlines() if "libpq does not know" in line]
    assert len(told) == (1 if named else 0), result.stderr
    assert not named or named in told[0]
    assert "cret" not in result.stderr
    assert is_row(perdura, "a.png")


# Row level security


OWNER_RULES = {
    "without a policy": "",
    "with a policy": "CREATE POLICY few ON image_cache USING (original_path LIKE 'b%')",
}


@pytest.fixture
def restricted(perdura: Perdura) -> Iterator[str]:
    """A role that may do everything with our tables and is not their owner. Returns its URL."""
    database, role = perdura.database, f"app_{perdura.database.name}"
    database.query(f"CREATE ROLE {role} LOGIN")
    database.query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    database.query(f"GRANT ALL ON SCHEMA public TO {role}")
    yield database.url.replace("postgres@", f"{role}@", 1)
    database.query(f"DROP OWNED BY {role}")
    database.query(f"DROP ROLE {role}")


def forbid(perdura: Perdura, policy: str) -> None:
    perdura.database.query("ALTER TABLE image_cache ENABLE ROW LEVEL SECURITY")
    if policy:
        perdura.database.query(policy)


@pytest.mark.parametrize("policy", OWNER_RULES.values(), ids=OWNER_RULES)
def test_row_level_security_hides_nothing_silently(
    policy: str, perdura: Perdura, restricted: str, stored: str, serve: Callable[..., Served]
) -> None:
    http = serve(DATABASE_URL=restricted, **QUIET)
    assert http.put("/media/b.png", images.make("png", 2)).status == 201
    forbid(perdura, policy)
    assert "row level security" in http.get(stored).problem(503)
    assert "row level security" in http.put("/media/b.png", images.make("png", 3)).problem(503)
    assert http.get("/ready").status == 503
    result = perdura.run("restore", "--all", check=False, env={"DATABASE_URL": restricted})
    assert result.code not in (0, 2) and "row level security" in result.stderr, result
    assert "DISABLE ROW LEVEL SECURITY" in result.stderr
    perdura.database.query("ALTER TABLE image_cache DISABLE ROW LEVEL SECURITY")
    wait_until(lambda: http.get(stored).status == 200, 60, "the image")
    http.stop()


def test_row_level_security_behind_a_pooler(perdura: Perdura, restricted: str, serve: Callable[..., Served]) -> None:
    """Where the session's settings would be another client's, the tables are asked."""
    forbid(perdura, "")
    role = restricted.split("//")[1].split("@")[0]
    with PgBouncer(perdura.folder / "pgbouncer", perdura.database.server, user=role) as pooler:
        url = pooler.url(perdura.database.name)
        result = perdura.run("restore", "--all", check=False, env={"DATABASE_URL": url})
        assert result.code not in (0, 2) and "row level security" in result.stderr, result
        http = serve(DATABASE_URL=url, **QUIET)
        assert "row level security" in http.put("/media/b.png", images.make("png", 3)).problem(503)
        perdura.database.query("ALTER TABLE image_cache DISABLE ROW LEVEL SECURITY")
        wait_until(lambda: http.put("/media/b.png", images.make("png", 3)).status == 201, 60, "the upload")
        assert perdura.database.value("SHOW row_security") == "on"
        http.stop()


@pytest.mark.parametrize("table", ["image_count", "schema_migration", "upload"])
def test_row_level_security_on_any_table(table: str, perdura: Perdura, restricted: str) -> None:
    perdura.database.query(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    result = perdura.run("cache-all", check=False, env={"DATABASE_URL": restricted})
    assert result.code not in (0, 2) and table in result.stderr, result


def test_every_table_is_asked_about(perdura: Perdura, restricted: str) -> None:
    """sql/connection_begin.sql names them all."""
    tables = perdura.database.query("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    for (table,) in tables:
        perdura.database.query(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        result = perdura.run("cache-all", check=False, env={"DATABASE_URL": restricted})
        assert result.code not in (0, 2) and table in result.stderr, (table, result)
        perdura.database.query(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")


def test_a_search_path_without_schema(perdura: Perdura) -> None:
    """What helps is another setting, not a migration."""
    perdura.database.query(f"ALTER DATABASE {perdura.database.name} SET search_path = ''")
    for command in (("cache-all",), ("migrate",), ("restore", "--all")):
        (perdura.media / "a.png").write_bytes(images.make("png", 1))
        result = perdura.run(*command, check=False)
        assert result.code not in (0, 2) and "search_path" in result.stderr, result


# Two servers


def set_read_only(server: Postgres, to: str) -> None:
    """Sessions that are there go on: so does a primary that is demoted behind a proxy."""
    server.execute(f"ALTER SYSTEM SET default_transaction_read_only = {to}")
    server.reload()


class Pair:
    """Two servers; the first is the primary, until they are switched."""

    def __init__(self, old: Postgres, new: Postgres, name: str, peers: list[HostilePostgres]) -> None:
        self.old, self.new = Database(old, name), Database(new, name)
        self.old_peer = peers[0]
        hosts = ",".join(f"127.0.0.1:{peer.port}" for peer in peers)
        self.url = f"postgresql://postgres@{hosts}/{name}?target_session_attrs=read-write"

    def switch(self) -> None:
        set_read_only(self.new.server, "off")
        set_read_only(self.old.server, "on")

    def new_has(self, path: str) -> bool:
        return self.new.value("SELECT count(*) > 0 FROM image_cache WHERE original_path = %s", path)


@pytest.fixture
def pair(perdura: Perdura, session_folder: Path) -> Iterator[Pair]:
    name = perdura.database.name
    folders = [session_folder / f"{name}_{n}" for n in (1, 2)]
    for folder in folders:
        folder.mkdir()
    with (
        Postgres(folders[0], fsync=False) as old, HostilePostgres(old) as first,
        Postgres(folders[1], fsync=False) as new, HostilePostgres(new) as second,
    ):
        for server in (old, new):
            perdura.run("migrate", env={"DATABASE_URL": server.create_database(name)})
        set_read_only(new, "on")
        yield Pair(old, new, name, [first, second])


def test_writes_follow_the_primary(pair: Pair, perdura: Perdura, serve: Callable[..., Served]) -> None:
    """The old primary turns read-only, the other server takes over. Within 10 s, with one line, writes are there, and so is
    the connection that listens."""
    http = serve(DATABASE_URL=pair.url, **QUIET)
    assert http.put("/media/a.png", images.make("png", 1)).status == 201
    listens = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'perdura feed'"
    wait_until(lambda: pair.old.value(listens), 60, "the feed at the old primary")

    pair.switch()
    (perdura.media / "w.png").write_bytes(images.make("png", 9))
    within(lambda: http.put("/media/b.png", images.make("png", 2)).status == 201, 10, "the new primary")
    assert pair.new_has("b.png")
    within(lambda: pair.new_has("w.png"), 10, "the file that was written meanwhile")
    within(lambda: pair.new.value(listens), 10, "the feed at the new primary")
    assert len(lines(http, "read-only: connections closed")) == 1, http.shown()
    http.stop()


def test_a_late_refusal_by_the_old_primary(pair: Pair, serve: Callable[..., Served]) -> None:
    """Its writer goes to the new primary as well, and nothing there is closed once more."""
    held, goes_on = threading.Event(), threading.Event()

    def hold(message: hostile.Message) -> list[bytes]:
        held.set()
        assert goes_on.wait(60)
        return [hostile.frame(*message)]

    http = serve(DATABASE_URL=pair.url, **QUIET)
    assert http.put("/media/a.png", images.make("png", 1)).status == 201
    pair.old_peer.when(PUT, rewrite(hold), times=1)
    pair.switch()
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(http.put, "/media/b.png", images.make("png", 2))
        assert held.wait(60)
        assert http.put("/media/c.png", images.make("png", 3)).status == 201, http.shown()
        goes_on.set()
        assert late.result().status == 201, http.shown()
    assert pair.new_has("b.png") and pair.new_has("c.png")
    assert len(lines(http, "read-only: connections closed")) == 1, http.shown()
    http.stop()


# Transactions that others began


def open_transaction(status: str) -> dict[str, Any]:
    return rewrite(on(b"Z", lambda body: [ready(status)]))


@pytest.mark.parametrize("what", [hostile.begin(), open_transaction("E"), open_transaction("?")], ids=["T", "E", "?"])
def test_what_is_left_in_an_open_transaction_is_not_acknowledged(
    what: dict[str, Any], beside: Served, peer: HostilePostgres, perdura: Perdura
) -> None:
    peer.when(PUT, what)
    assert "not committed" in beside.put("/media/b.png", images.make("png", 2)).problem(503)
    (perdura.media / "c.png").write_bytes(images.make("png", 3))
    if "begins" in what:  # else the server has committed it
        assert beside.request("POST", "/image-cache/flush", timeout=120).status == 503  # after a minute
        assert not is_row(perdura, "b.png") and not is_row(perdura, "c.png")
    peer.calm()
    wait_until(lambda: beside.post("/image-cache/flush").status == 200, 60, "the file to be stored after all")
    assert is_row(perdura, "c.png")
    beside.stop()


def test_a_proxy_that_begins_transactions_is_found_at_once(perdura: Perdura, peer: HostilePostgres) -> None:
    """Nothing is committed through it, so nothing is stored."""
    peer.when("", open_transaction("T"))
    (perdura.media / "c.png").write_bytes(images.make("png", 3))
    env = {"DATABASE_URL": peer.url(perdura.database.name)}
    result = perdura.run("cache-all", check=False, env=env)
    assert result.code != 0 and "open transaction" in result.stderr, result
    restored = perdura.run("restore", "--all", check=False, env=env)
    assert restored.code != 0 and "open transaction" in restored.stderr, restored


def test_a_migration_that_was_rolled_back_is_not_applied(unmigrated: Perdura) -> None:
    """COMMIT that is answered with ROLLBACK, as after an error that a proxy hid."""
    with HostilePostgres(unmigrated.database.server) as peer:
        peer.when("COMMIT", answer(hostile.frame(b"C", hostile.text("ROLLBACK"))))
        result = unmigrated.run("migrate", check=False, env={"DATABASE_URL": peer.url(unmigrated.database.name)})
    assert result.code != 0 and "did not commit" in result.stderr, result


# Connections that end


def backends(perdura: Perdura) -> int:
    """Ends all that Perdura has, and waits until they have ended."""
    return perdura.database.value(
        "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity"
        " WHERE application_name IN ('perdura', 'perdura feed') AND datname = current_database()"
    )


def test_no_request_fails_because_idle_connections_were_ended(http: Served, perdura: Perdura) -> None:
    for n in range(10):
        assert http.put(f"/media/{n}.png", images.make("png", n)).status == 201
        assert backends(perdura) > 0
        assert http.put(f"/media/{n}.png", images.make("png", 100 + n)).status == 200, http.shown()
        assert backends(perdura) > 0
        assert http.request("DELETE", f"/media/{n}.png").status == 204, http.shown()
        assert backends(perdura) > 0
        assert http.request("GET", "/image-cache/images").status == 200, http.shown()
    http.stop()


@pytest.mark.parametrize("how", ["closed", "57P01", "57P05", "08006"])
def test_a_connection_that_ends_under_a_statement_is_replaced(
    how: str, stored: str, beside: Served, peer: HostilePostgres, perdura: Perdura
) -> None:
    """The server ends it before the answer: what was asked is asked again, once, over another connection."""
    what = close() if how == "closed" else close(error(how, "FATAL"))
    peer.when(GET, what, times=1)
    assert beside.get(stored).status == 200, beside.shown()
    peer.when(PUT, what, times=1)
    assert beside.put("/media/b.png", images.make("png", 2)).status == 201, beside.shown()
    assert is_row(perdura, "b.png")
    beside.stop()


def test_what_may_have_happened_is_not_repeated(stored: str, beside: Served, peer: HostilePostgres) -> None:
    """A delete would find nothing the second time, and be answered with 404."""
    peer.when("-- Puts one image into the trash", close(), times=1)
    assert beside.request("DELETE", stored).status == 503
    assert beside.request("DELETE", stored).status == 204
    beside.stop()


# Results that are none


def expect_malformed(got: Answer) -> None:
    assert re.search("malformed|violated the protocol|connection", got.problem(503)), got


WRONG_COLUMNS = {
    **{f"null in column {n}": rewrite(hostile.null_in(n)) for n in range(CORE) if n != IMAGE_URL},
    "null time": rewrite(hostile.null_in(15)),
    "a column less": rewrite(hostile.without_last_column),
    "no columns": rewrite(lambda m: [] if m[0] in b"TD" else [hostile.frame(*m)]),
    "rows without a description": rewrite(lambda m: [] if m[0] == b"T" else [hostile.frame(*m)]),
    "text for a number": rewrite(hostile.set_description(0, 2, 25)),
    "a number for text": rewrite(hostile.set_description(2, 2, 20)),
    "text format": rewrite(hostile.set_description(0, 5, 0)),
    "a number of 3 bytes": rewrite(hostile.set_column(0, b"abc")),
    "a number of 20 bytes": rewrite(hostile.set_column(5, b"a" * 20)),
    "an empty number": rewrite(hostile.set_column(8, b"")),
    "a time of 4 bytes": rewrite(hostile.set_column(7, b"abcd")),
    "two rows": rewrite(on(b"D", lambda body: [hostile.frame(b"D", body)] * 2)),
    "another command": rewrite(on(b"C", lambda body: [hostile.frame(b"C", hostile.text("UPDATE 1"))])),
    "no command": rewrite(on(b"C", lambda body: [hostile.frame(b"C", b"\0")])),
    "an empty query": rewrite(lambda m: [hostile.frame(b"I")] if m[0] == b"C" else [] if m[0] in b"TD" else
                              [hostile.frame(*m)]),
    "a row that is cut": rewrite(on(b"D", lambda body: [hostile.frame(b"D", body[: len(body) // 2])])),
    "a row of more columns than it has": rewrite(on(b"D", lambda body: [hostile.frame(b"D", b"\x7f\xff" + body[2:])])),
    "a row of -1 columns": rewrite(on(b"D", lambda body: [hostile.frame(b"D", b"\xff\xff" + body[2:])])),
    "a value of 2 GB": rewrite(on(b"D", lambda body: [hostile.frame(b"D", body[:2] + b"\x7f\xff\xff\xff" + body[6:])])),
    "a message of 2 GB": rewrite(on(b"D", lambda body: [b"D\x7f\xff\xff\xff" + body])),
    "a message of 0 bytes": rewrite(on(b"D", lambda body: [b"D\0\0\0\0" + body])),
    "a message of -1 bytes": rewrite(on(b"D", lambda body: [b"D\xff\xff\xff\xff" + body])),
    "an unknown message": rewrite(on(b"D", lambda body: [hostile.frame(b"@", body)])),
    "COPY in the place of rows": answer(hostile.frame(b"1"), hostile.frame(b"2"), hostile.frame(b"H", b"\0\0\0")),
    "two results": rewrite(on(b"C", lambda body: [hostile.frame(b"C", body)] * 2)),
    "an end in the middle": rewrite(on(b"D", lambda body: [ready()])),
    "an error among the rows": rewrite(on(b"D", lambda body: [hostile.frame(b"D", body), error("XX001")])),
    "an error without SQLSTATE": answer(error(None)),
    "an error without fields": answer(hostile.frame(b"E", b"\0")),
    "an error that is cut": answer(hostile.frame(b"E", b"SERR")),
    "an answer and no end": raw(hostile.frame(b"1"), hostile.frame(b"2")),
    "nothing but the end": answer(),
}


def test_a_malformed_result_is_an_error(
    stored: str, serve: Callable[..., Served], perdura: Perdura, peer: HostilePostgres
) -> None:
    """Whatever is wrong with it: the request fails with 503, the process goes on, and nothing comes on disk."""
    http = serve(DATABASE_URL=peer.url(perdura.database.name), **QUIET)
    for name, what in WRONG_COLUMNS.items():
        peer.calm()
        rule = peer.when(GET, what)

        def fails() -> bool:
            """After a time limit, the database is left alone for a second."""
            got = http.get(stored)
            assert got.status == 503, (name, got, http.shown())
            return rule.used > 0

        wait_until(fails, 60, name)
        assert http.process.poll() is None, name
        assert not (perdura.media / "a.png").exists(), name
    peer.calm()
    wait_until(lambda: http.get(stored).status == 200, 60, "the image")
    http.stop()


WRONG_WRITES = {
    name: WRONG_COLUMNS[name]
    for name in (
        "no columns",
        "rows without a description",
        "a row that is cut",
        "a message of 2 GB",
        "a message of 0 bytes",
        "an unknown message",
        "two results",
        "another command",
        "no command",
        "an empty query",
        "an error among the rows",
        "an error without SQLSTATE",
        "an error without fields",
        "an error that is cut",
        "COPY in the place of rows",
        "nothing but the end",
    )
} | {
    "null": rewrite(hostile.null_in(0)),
    "text for a number": rewrite(hostile.set_description(0, 2, 25)),
    "success without a statement": answer(hostile.frame(b"1"), hostile.frame(b"2"), hostile.frame(b"C", hostile.text("COMMIT"))),
    "success that has begun": answer(hostile.frame(b"1"), hostile.frame(b"2"), hostile.frame(b"C", hostile.text("BEGIN"))),
}


def test_a_malformed_result_of_a_write_acknowledges_nothing(beside: Served, peer: HostilePostgres, perdura: Perdura) -> None:
    for n, (name, what) in enumerate(WRONG_WRITES.items()):
        peer.calm()
        rule = peer.when(PUT, what)
        got = beside.put(f"/media/{n}.png", images.make("png", n))
        assert got.status == 503, (name, got, beside.shown())
        assert rule.used and beside.process.poll() is None, name
    peer.calm()
    assert beside.put("/media/z.png", images.make("png", 99)).status == 201
    beside.stop()


def test_an_end_too_many(stored: str, beside: Served, peer: HostilePostgres) -> None:
    """Whether it is seen in time or not: no answer is taken for that of another statement."""
    peer.when("", rewrite(on(b"Z", lambda body: [hostile.frame(b"Z", body)] * 2)))
    for n in range(10):
        got = beside.get(stored)
        assert got.status == 503 or got.body == images.make("png", 1)
        assert beside.put(f"/media/{n}.png", images.make("png", 10 + n)).status in (201, 503)
    peer.calm()
    wait_until(lambda: beside.get(stored).status == 200, 60, "the image")
    for n in range(10):
        put = beside.put(f"/media/{n}.png", images.make("png", 10 + n))
        assert put.status in (200, 201, 503)
    beside.stop()


def test_an_answer_that_stops_ends_with_the_time_limit(stored: str, beside: Served, peer: HostilePostgres) -> None:
    peer.when(GET, raw(hostile.frame(b"1"), hostile.frame(b"2")))
    assert beside.get(stored).status == 503
    peer.calm()
    wait_until(lambda: beside.get(stored).status == 200, 60, "the image")
    beside.stop()


def test_every_query_survives_columns_that_are_wrong(stored: str, beside: Served, peer: HostilePostgres) -> None:
    """Whatever a route asks: not one of its results is used without a look."""
    routes = ["/ready", "/image-cache/status", "/image-cache/images", "/image-cache/images?state=trash",
              "/image-cache/jobs", "/api/images/artist/1", "/cache-stats", "/sync-status/none", "/admin/", stored]
    changes = [hostile.null_in(0), hostile.without_last_column, hostile.set_column(0, b""),
               on(b"D", lambda body: []), on(b"D", lambda body: [hostile.frame(b"D", body)] * 300)]
    for change in changes:
        peer.calm()
        peer.when("SELECT", rewrite(change))
        for route in routes:
            assert beside.get(route).status in range(200, 600)
        for route in ("cache-all", "restore", "cleanup", "warmup", "flush"):
            assert beside.post(f"/image-cache/{route}", {}).status in range(200, 600)
        assert beside.process.poll() is None, beside.shown()
    peer.calm()
    wait_until(lambda: beside.get(stored).status == 200, 60, "the image")
    beside.stop()


# Peers that are no PostgreSQL at all


@pytest.mark.parametrize("greeting", [b"G", b"\0", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"E", b""], ids=repr)
def test_garbage_in_the_place_of_a_greeting(greeting: bytes, perdura: Perdura, peer: HostilePostgres) -> None:
    peer.ssl_answer = greeting
    if not greeting:
        peer.when(peer.STARTUP, close())
        peer.ssl_answer = b"N"
    (perdura.media / "a.png").write_bytes(images.make("png", 1))
    result = perdura.run("cache-all", check=False, env={"DATABASE_URL": peer.url(perdura.database.name)})
    assert result.code == 3 and "cannot reach the database" in result.stderr, result


def test_notices_of_a_megabyte(beside: Served, peer: HostilePostgres, perdura: Perdura) -> None:
    """They are logged, each on one line that is not long."""
    loud = hostile.notice("x" * (1 << 20))
    peer.when(PUT, rewrite(on(b"C", lambda body: [loud, hostile.frame(b"C", body)])))
    assert beside.put("/media/b.png", images.make("png", 2)).status == 201
    wait_until(lambda: lines(beside, "xxxx"), 60, "the notice in the log")
    assert max(map(len, beside.log)) < 2000
    beside.stop()


def test_a_slow_peer(stored: str, beside: Served, peer: HostilePostgres) -> None:
    """Whole after a while, or not at all."""
    peer.drip_bytes = 512
    got = beside.get(stored)
    assert got.status == 503 or (got.status == 200 and got.body == images.make("png", 1))
    peer.drip_bytes = 0
    wait_until(lambda: beside.get(stored).status == 200, 60, "the image")
    beside.stop()


def test_a_connection_that_ends_at_any_message(
    stored: str, beside: Served, peer: HostilePostgres, perdura: Perdura
) -> None:
    """A write is acknowledged only if it is committed; a read is whole or an error."""
    class Ended(OSError):
        pass

    def after(count: int) -> Callable[[hostile.Message], Any]:
        left = count

        def change(message: hostile.Message) -> list[bytes]:
            nonlocal left
            left -= 1
            if left < 0:
                raise Ended
            return [hostile.frame(*message)]

        return change

    for count in range(6):
        peer.calm()
        peer.when(PUT, rewrite(after(count)))
        name = f"{count}.png"
        if beside.put(f"/media/{name}", images.make("png", 10 + count)).status in (200, 201):
            assert is_row(perdura, name)
        peer.calm()
        peer.when(GET, rewrite(after(count)))
        got = beside.get(stored)
        assert got.status == 503 or got.body == images.make("png", 1)
        (perdura.media / "a.png").unlink(missing_ok=True)
        assert beside.process.poll() is None
    beside.stop()
