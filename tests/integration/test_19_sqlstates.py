"""What follows from each error of the database: the table in docs/architecture.md, row by row, against a server that refuses
real statements with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import images
import pytest
from conftest import Perdura, Served
from hostile_postgres import HostilePostgres, answer, close, error
from servers import wait_until

PUT = "-- Stores a batch of images"
FILES = 12
THREADS = 3
EXAMPLES = {  # of a class: what servers and poolers return in practice
    "08": ["08000", "08003", "08006"],
    "22": ["22001", "22003"],
    "23": ["23502", "23503", "23514"],
    "25": ["25P02", "25P03"],
    "28": ["28000", "28P01"],
    "40": ["40001", "40P01"],
    "53": ["53200", "53400"],
    "54": ["54000"],
    "57P": ["57P01", "57P02", "57P03", "57P04"],
    "58": ["58030"],
    "XX": ["XX000", "XX001", "XX002"],
    "other": ["42883", "0L000", "P0001"],
}


@dataclass
class Row:
    sqlstate: str
    meaning: str
    state: str
    splits: bool
    retry: str
    status: int
    level: str


def rows() -> Iterator[Row]:
    document = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
    lines = iter(document.read_text().splitlines())
    for line in lines:
        if line.startswith("| SQLSTATE "):
            break
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            return
        prefix, meaning, state, splits, retry, status, level = (cell.strip() for cell in line.strip("| ").split(" | "))
        for sqlstate in EXAMPLES.get(prefix, [prefix]):
            yield Row(sqlstate, meaning, state, splits == "yes", retry, int(status), level)


def ends_connection(row: Row) -> bool:
    return row.state == "unreachable"


ROWS = list(rows())
each_prefix = pytest.mark.parametrize("row", list({row.meaning: row for row in ROWS}.values()), ids=lambda row: row.sqlstate)


@pytest.fixture
def peer(perdura: Perdura) -> Iterator[HostilePostgres]:
    with HostilePostgres(perdura.database.server) as peer:
        yield peer


def refusal(row: Row) -> dict:
    return close(error(row.sqlstate, "FATAL")) if ends_connection(row) else answer(error(row.sqlstate))


def stored(perdura: Perdura) -> int:
    return perdura.database.value("SELECT count(*) FROM image_cache")


def settings(perdura: Perdura, peer: HostilePostgres) -> dict[str, str]:
    return {"DATABASE_URL": peer.url(perdura.database.name), "PERDURA_DB_PREPARED": "on"}


def is_batch(messages: bytes) -> bool:
    return messages.count(b".png") > 1


@each_prefix
def test_a_batch(row: Row, perdura: Perdura, peer: HostilePostgres) -> None:
    """Split: where a batch always fails, each of its files is stored by itself. A lost connection is opened again, and the
    batch sent again. A read-only server ends the command, after one attempt for each thread."""
    for n in range(FILES):
        (perdura.media / f"{n}.png").write_bytes(images.make("png", n))
    rule = peer.when(PUT, refusal(row), times=1 if ends_connection(row) else -1, only=is_batch)
    result = perdura.run("cache-all", check=False, env=settings(perdura, peer))
    assert rule.used, "no batch"
    if row.splits or ends_connection(row):
        assert result.code == 0 and stored(perdura) == FILES, result
    else:
        assert result.code != 0 and "made up" in result.stderr, result
        assert stored(perdura) < FILES and rule.used <= 2 * THREADS


def test_statuses(perdura: Perdura, peer: HostilePostgres, serve: Callable[..., Served]) -> None:
    """One process sees them all: an upload gets the row's status, 503 with Retry-After, and the reason; nothing is stored.
    Afterwards the same upload is."""
    http = serve(PERDURA_RESTORE="none", **settings(perdura, peer))
    for n, row in enumerate(ROWS):
        path, body = f"/media/{n}.png", images.make("png", n)
        peer.when(PUT, refusal(row))
        refused = http.put(path, body)
        assert refused.status == row.status, (row, refused, http.shown())
        reason = refused.problem(row.status)
        assert "made up" in reason and not reason.startswith("the body"), (row, reason)
        assert (refused["Retry-After"] is not None) == (row.status == 503), (row, refused)
        assert stored(perdura) == n, row
        peer.calm()
        again = http.put(path, body)
        assert again.status in (200, 201), (row, again, http.shown())
    assert http.process.poll() is None
    http.stop()


def level_of(http: Served, words: str) -> str | None:
    """Of the last line that holds the words."""
    found = [line for line in http.log if words in line]
    return re.search("level=([a-z]+)", found[-1])[1] if found else None


@each_prefix
def test_a_file_that_the_app_writes(
    row: Row, perdura: Perdura, peer: HostilePostgres, serve: Callable[..., Served]
) -> None:
    """While the error lasts: one line of that level, the state in /ready and status. Afterwards the file is stored, if not at
    once then by the next scan."""
    http = serve(PERDURA_RESTORE="none", **settings(perdura, peer))
    if ends_connection(row):
        peer.when("", refusal(row))
    else:
        peer.when(PUT, refusal(row))
    (perdura.media / "a.png").write_bytes(images.make("png", 1))
    words = {"database": "database does not accept files", "never": "a.png"}.get(row.retry, "file not stored yet")
    wait_until(lambda: level_of(http, words), 60, "the line")
    assert level_of(http, words) == row.level, http.shown()
    ready = http.request("GET", "/ready")
    assert ready.json["database"]["state"] == row.state, ready.body
    if not ends_connection(row):
        status = http.get("/image-cache/status").json
        assert status["database"]["state"] == row.state, status
        wait_until(lambda: "made up" in str(http.get("/image-cache/status").json["unpersisted"]), 60, "the reason")
    assert stored(perdura) == 0
    peer.calm()
    if row.retry == "never":
        assert http.post("/image-cache/cache-all", {}).status == 200
    wait_until(lambda: stored(perdura) == 1, 60, "the file")
    http.stop()


@pytest.mark.parametrize("event", ["INSERT", "UPDATE"])
def test_a_trigger_that_skips_a_row(http: Served, event: str) -> None:
    """The statement succeeds and stores nothing."""
    perdura = http.perdura
    if event == "UPDATE":
        assert http.put("/media/3.png", images.make("png", "before")).status == 201
    before = stored(perdura)
    perdura.database.query(
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.original_path = '3.png' THEN RETURN NULL; END IF; RETURN NEW; END $$;"
        f"CREATE TRIGGER skip BEFORE {event} ON image_cache FOR EACH ROW EXECUTE FUNCTION skip()"
    )
    assert "skips" in http.put("/media/3.png", images.make("png", "put")).problem(409)
    for n in range(FILES):
        (perdura.media / f"{n}.png").write_bytes(images.make("png", n))
    refused = http.post("/image-cache/flush", {}).problem(409)
    assert "3.png" in refused and "skips" in refused
    assert stored(perdura) == before + FILES - 1
    wait_until(lambda: level_of(http, "file cannot be stored"), 60, "the line")
    cached = perdura.run("cache-all", "--json", check=False)
    assert cached.code == 1 and "skips" in cached.json["errors"][0]["error"]
    perdura.database.query("DROP TRIGGER skip ON image_cache")
    assert perdura.run("cache-all", "--json").json["cached"] == 1


# A statement that succeeded may fail at its commit: by a deferred trigger, here.
REFUSED = "RAISE EXCEPTION 'made up' USING ERRCODE = 'check_violation'"
ONCE = {
    "conflict": "RAISE EXCEPTION 'made up' USING ERRCODE = 'serialization_failure'",
    "lost": "PERFORM pg_terminate_backend(pg_backend_pid())",
}


def fail_commits_of(perdura: Perdura, path: str, action: str, times: int) -> None:
    perdura.database.query(
        "CREATE SEQUENCE failures;"
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.original_path = '{path}' AND nextval('failures') <= {times} THEN {action}; END IF; RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON image_cache DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION fail()"
    )


def test_a_constraint_that_refuses_at_the_commit(http: Served) -> None:
    perdura = http.perdura
    fail_commits_of(perdura, "3.png", REFUSED, 1000)
    assert "made up" in http.put("/media/3.png", images.make("png", 3)).problem(409)
    for n in range(FILES):
        (perdura.media / f"{n}.png").write_bytes(images.make("png", n))
    assert "3.png" in http.post("/image-cache/flush", {}).problem(409)
    assert stored(perdura) == FILES - 1
    (perdura.media / "3.png").unlink()


@pytest.mark.parametrize("reason", ONCE)
def test_a_commit_that_fails_is_tried_again(perdura: Perdura, reason: str) -> None:
    fail_commits_of(perdura, "3.png", ONCE[reason], 1)
    for n in range(FILES):
        (perdura.media / f"{n}.png").write_bytes(images.make("png", n))
    assert perdura.run("cache-all", "--json").json["cached"] == FILES
    assert stored(perdura) == FILES


def test_an_upload_whose_connection_ends_at_the_commit(http: Served) -> None:
    fail_commits_of(http.perdura, "a.png", ONCE["lost"], 1)
    assert http.put("/media/a.png", images.make("png", 1)).status in (200, 201)
    assert stored(http.perdura) == 1
