"""From the version that users run today to the present one, beside it, and back again: nothing that was acknowledged is
lost, and no writer waits long.

FAULT_ROUNDS as in faults.py: the long form (FAULT_ROUNDS=200 TEST_LIMIT_S=3600) has 100,000 rows and lets both versions
write for ten minutes.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import images
import landed
import pytest
from conftest import Database, Perdura, Served, perdura_binary
from faults import LONG_FORM
from servers import wait_until

pytestmark = pytest.mark.skipif(bool(landed.missing()), reason=landed.missing())

ROWS = 100_000 if LONG_FORM else 3_000
SECONDS = 600 if LONG_FORM else 6
WAIT_S = 120
WRITERS = 3

FILL = """
INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256, last_accessed, deleted_at,
                         cleaned_up)
SELECT 'filled/' || n || '.png', translate(encode(content, 'base64'), E'\\n', ''), octet_length(content), 'image/png',
       sha256(content), now() - n %% 200 * interval '1 day',
       CASE WHEN n %% 10 = 0 THEN now() - interval '40 days' END, n %% 20 = 0
FROM (SELECT n, convert_to(repeat('content of ' || n || ' ', 40), 'UTF8') AS content
      FROM generate_series(1, %s) AS n) AS made
"""
COUNTED = """
SELECT coalesce(sum(images), 0)::bigint, coalesce(sum(bytes), 0)::bigint, coalesce(sum(trash_images), 0)::bigint,
       coalesce(sum(trash_bytes), 0)::bigint
FROM image_count
"""
REAL = """
SELECT count(*) FILTER (WHERE deleted_at IS NULL),
       coalesce(sum(file_size) FILTER (WHERE deleted_at IS NULL), 0)::bigint,
       count(*) FILTER (WHERE deleted_at IS NOT NULL),
       coalesce(sum(file_size) FILTER (WHERE deleted_at IS NOT NULL), 0)::bigint
FROM image_cache
"""


@dataclass
class Ledger:
    """What was acknowledged: the contents that each path may have in the end."""

    contents: dict[str, set[bytes]] = field(default_factory=dict)
    longest_s: float = 0.0
    writes: int = 0
    refused: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, path: str, data: bytes, seconds: float) -> None:
        with self.lock:
            self.contents[path] = {hashlib.sha256(data).digest()}
            self.longest_s = max(self.longest_s, seconds)
            self.writes += 1

    def check(self, database: Database) -> None:
        rows = database.query("SELECT original_path, sha256, image_data, deleted_at IS NULL FROM image_cache")
        found = {path: bytes(digest) for path, digest, _, live in rows if live}
        lost = [path for path, digests in self.contents.items() if found.get(path) not in digests]
        assert not lost, f"{len(lost)} of {len(self.contents)} are lost: {lost[:5]}"
        assert database.query(COUNTED) == database.query(REAL)


def program(binary: Path, folder: Path, database: Database) -> Perdura:
    folder.mkdir()
    return Perdura(binary, folder, database)


@pytest.fixture
def old(empty_database: Database, folder: Path) -> Iterator[Perdura]:
    """The version of today's users, with its tables and many rows."""
    perdura = program(landed.landed_binary(), folder / "old", empty_database)
    perdura.run("migrate")
    empty_database.query(FILL, ROWS)
    yield perdura
    perdura.end_started()


@pytest.fixture
def new(empty_database: Database, folder: Path) -> Iterator[Perdura]:
    perdura = program(perdura_binary(), folder / "new", empty_database)
    yield perdura
    perdura.end_started()


def filled(database: Database) -> Ledger:
    rows = database.query("SELECT original_path, sha256 FROM image_cache WHERE deleted_at IS NULL")
    return Ledger({path: {bytes(digest)} for path, digest in rows})


def put_for_a_while(http: Served, ledger: Ledger, name: str, stopped: threading.Event) -> None:
    """New images and new contents of old ones, one after the other. One that is refused is sent again."""
    rng = random.Random(name)
    number = 0
    while not stopped.is_set():
        number += 1
        path = f"{name}/{number if rng.random() < 0.7 else rng.randint(1, number)}.png"
        data = images.sized("png", rng.randrange(2_000, 20_000), (name, number))
        for _ in range(20):
            started = time.monotonic()
            answer = http.request("PUT", f"/media/{path}", data)
            if answer.status in (200, 201):
                ledger.note(path, data, time.monotonic() - started)
                break
            ledger.refused.append(repr(answer))
            assert answer.status == 503, answer
        else:
            raise AssertionError(f"{path} is refused again and again: {ledger.refused[-1]}")


def save_for_a_while(perdura: Perdura, ledger: Ledger, name: str, stopped: threading.Event) -> None:
    """Files, as an app writes them."""
    rng = random.Random(name)
    number = 0
    while not stopped.is_set():
        number += 1
        path = perdura.media / name / f"{number}.png"
        data = images.sized("png", rng.randrange(2_000, 20_000), (name, number))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        ledger.note(f"{name}/{number}.png", data, 0)
        stopped.wait(0.05)


@contextmanager
def writing(*writers: tuple[Callable[..., None], object, Ledger, str]) -> Iterator[None]:
    """All of them write as long as the block lasts; an error of one is the test's."""
    stopped = threading.Event()
    errors: list[BaseException] = []

    def run(writer: Callable[..., None], where: object, ledger: Ledger, name: str) -> None:
        try:
            writer(where, ledger, name, stopped)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=arguments) for arguments in writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    assert not errors, errors


def wait_for_writes(ledger: Ledger, count: int) -> None:
    until = ledger.writes + count
    wait_until(lambda: ledger.writes >= until, WAIT_S, f"{count} writes")


def test_store_is_migrated_while_the_old_version_writes(old: Perdura, new: Perdura) -> None:
    """Also many instances of the new one at once, as a deploy starts them."""
    assert old.database
    ledger = filled(old.database)
    http = Served(old, {})
    with writing(*((put_for_a_while, http, ledger, f"put{n}") for n in range(WRITERS))):
        wait_for_writes(ledger, 50)
        migrating = [new.start("migrate", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
        outputs = [process.communicate(timeout=WAIT_S) for process in migrating]
        assert [process.returncode for process in migrating] == [0] * 4, outputs
        wait_for_writes(ledger, 50)
    http.stop()
    ledger.check(old.database)
    assert not new.run("migrate", "--json").json
    print(f"{ROWS} rows: {ledger.writes} writes, the longest took {ledger.longest_s:.3f} s, {len(ledger.refused)} refused")


def test_both_versions_write_to_one_database(old: Perdura, new: Perdura) -> None:
    assert old.database
    ledger = filled(old.database)
    old_http = Served(old, {"PERDURA_RESTORE": "none"})
    new_http = Served(new, {"PERDURA_RESTORE": "none"})
    with writing(
        (put_for_a_while, old_http, ledger, "old-put"),
        (put_for_a_while, new_http, ledger, "new-put"),
        (save_for_a_while, old, ledger, "old-file"),
        (save_for_a_while, new, ledger, "new-file"),
    ):
        time.sleep(SECONDS)  # what it is about: for how long both write
        wait_for_writes(ledger, 50)
    for http in (old_http, new_http):
        assert http.request("POST", "/image-cache/flush").json["persisted"] is True
    ledger.check(old.database)
    paths = random.Random("read").sample([path for path in ledger.contents if not path.startswith("filled")], 20)
    for http in (old_http, new_http):
        for path in paths:
            answer = http.request("GET", f"/media/{path}")
            assert answer.status == 200 and hashlib.sha256(answer.body).digest() in ledger.contents[path], path
    old_http.stop()
    new_http.stop()
    print(f"{ROWS} rows, {SECONDS} s: {ledger.writes} writes, the longest took {ledger.longest_s:.3f} s")


def test_old_version_after_a_rollback_stores_and_trashes_nothing(old: Perdura, new: Perdura) -> None:
    """Every row was last requested a year ago: by its own rules the old version would trash all of them tonight."""
    assert old.database
    database = old.database
    new.run("migrate")
    database.query("UPDATE image_cache SET last_accessed = now() - interval '1 year'")
    database.query("DELETE FROM image_cache WHERE original_path = 'filled/1.png'")
    database.query("UPDATE image_tombstone SET buried_at = now() - interval '2 days'")
    ledger = filled(database)
    trash = "SELECT count(*) FROM image_cache WHERE deleted_at IS NOT NULL AND cleaned_up"
    undecided = database.value(trash)
    assert undecided > 0

    database.query("INSERT INTO schedule (kind, day, host) VALUES ('cleanup', current_date - 3, 'somebody')")
    http = Served(old, {"PERDURA_RESTORE": "none"})
    with writing((put_for_a_while, http, ledger, "put"), (save_for_a_while, old, ledger, "file")):
        cleaned = "SELECT count(*) FROM job_run WHERE kind = 'cleanup' AND state = 'done'"
        wait_until(lambda: database.value(cleaned) > 0, WAIT_S, "the daily cleaning of the old version")
        wait_for_writes(ledger, 20)
    assert http.request("POST", "/image-cache/cleanup", {"days": 1}).json["trashed"] == 0
    assert http.request("POST", "/image-cache/flush").json["persisted"] is True
    http.stop()
    ledger.check(database)
    assert database.value(trash) == undecided
    assert database.value("SELECT count(*) FROM image_tombstone") > 0

    # And forward again.
    new.run("migrate")
    http = Served(new, {"PERDURA_RESTORE": "none"})
    with writing((put_for_a_while, http, ledger, "again")):
        wait_for_writes(ledger, 20)
    http.stop()
    ledger.check(database)
    assert new.run("fsck", "--json").json["damaged"] == 0
