"""PostgreSQL away, frozen, full, or in each other's way."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Perdura
from faults import (  # noqa: F401
    COMMANDS,
    FEW_ROUNDS,
    LONG_FORM,
    Files,
    Shop,
    check_files,
    files,
    finish,
    rng,
    shop,
    told,
)
from servers import Postgres, User, wait_until

FROZEN_S = 3
QUICK_S = 3
ATTEMPTS = 10
MiB = 1 << 20


@pytest.mark.parametrize("command", COMMANDS)
def test_no_server_is_told_at_once(perdura: Perdura, postgres: Postgres, command: str) -> None:
    arguments = [command, *(["--all"] if command == "restore" else [])]
    postgres.stop()
    nobody_listens = "postgresql://postgres@127.0.0.1:9/shop"
    for url in (perdura.env["DATABASE_URL"], nobody_listens):
        began = time.monotonic()
        result = perdura.run(*arguments, check=False, env={"DATABASE_URL": url})
        assert time.monotonic() - began < QUICK_S
        assert result.code == 3
        assert result.stdout == "" and result.stderr.count("\n") == 1
        assert result.stderr.startswith("perdura: cannot reach the database: ")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_frozen_server_that_wakes_is_waited_for(shop: Shop, postgres: Postgres, command: str) -> None:
    process = start_and_freeze_in_the_middle(shop, postgres, command)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(FROZEN_S)
    postgres.sigcont()
    result = finish(process)
    assert result.code == 0, result.stderr
    shop.check(command, complete=True)
    shop.complete(command)


@pytest.mark.skipif(not LONG_FORM, reason="takes minutes: only with FAULT_ROUNDS=100 or more")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_stays_frozen_is_given_up(shop: Shop, postgres: Postgres, command: str) -> None:
    process = start_and_freeze_in_the_middle(shop, postgres, command)
    began = time.monotonic()
    result = finish(process, 300)
    print(f"\n    {command} gave a frozen server up after {time.monotonic() - began:.0f} s: {result.stderr.strip()}")
    postgres.sigcont()
    assert result.code == 3
    shop.check(command)
    shop.complete(command)


@pytest.mark.skipif(not LONG_FORM, reason="takes a minute: only with FAULT_ROUNDS=100 or more")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_stays_away_is_given_up(shop: Shop, postgres: Postgres, command: str) -> None:
    process = start_and_wait_for_the_middle(shop, command)
    postgres.kill_immediate()
    began = time.monotonic()
    result = finish(process, 300)
    print(f"\n    {command} gave up after {time.monotonic() - began:.0f} s: {result.stderr.strip()}")
    postgres.start()
    assert result.code == 3
    shop.check(command)
    shop.complete(command)


def start_and_wait_for_the_middle(shop: Shop, command: str) -> subprocess.Popen[bytes]:
    """One that has ended before we look is started anew: a busy machine may hold us up."""
    for _ in range(ATTEMPTS):
        shop.prepare(command, "none")
        process = shop.start(command, env={"PERDURA_DB_POOL": "2"})
        wait_until(lambda: shop.done(command) or shop.temporaries() or process.poll() is not None, 60, "the first images")
        if process.poll() is None:
            return process
        assert finish(process).code == 0
    pytest.fail("it is too quick to be caught")


def start_and_freeze_in_the_middle(shop: Shop, postgres: Postgres, command: str) -> subprocess.Popen[bytes]:
    for _ in range(ATTEMPTS):
        process = start_and_wait_for_the_middle(shop, command)
        postgres.sigstop()
        if not ends_within(process, 0.5):  # it had something to ask yet
            return process
        postgres.sigcont()
        assert finish(process).code == 0
    pytest.fail("it is too quick to be frozen")


def ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


@pytest.mark.parametrize("command", COMMANDS)
def test_connections_are_cut_again_and_again(shop: Shop, postgres: Postgres, command: str) -> None:
    pauses = rng(f"cut {command}")
    cut = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s" \
          " AND application_name = 'perdura'"
    observer = postgres.connect()
    cursor = observer.cursor()
    all_cuts = 0
    for i in range(FEW_ROUNDS):
        cuts = 0
        shop.prepare(command, ("none", "old_half")[i % 2])
        process = shop.start(command)
        started = time.monotonic()
        with told(f"cutting connections of {command}, round {i}"):
            while True:
                try:
                    # A slow build or a busy machine needs longer to connect, and gives up after 30 s without success.
                    process.wait(pauses.uniform(0.01, 0.06) * (1 + cuts / 50 + (time.monotonic() - started) ** 2))
                    break
                except subprocess.TimeoutExpired:
                    cursor.execute(cut, (shop.database.name,))
                    cuts += cursor.fetchone()[0]
            result = finish(process)
            assert result.code == 0, f"after {cuts} cuts: {result.stderr}{result.stdout}"
            all_cuts += cuts
            report = result.json
            assert report["failed"] == 0 and not report["errors"]
            moved = report["cached" if command == "cache-all" else "restored"] + report.get("present", 0)
            assert moved == len(shop.files)
            shop.check(command, complete=True)
            shop.complete(command)
    observer.close()
    print(f"\n    {command}: {all_cuts} connections cut in {FEW_ROUNDS} rounds", flush=True)
    assert all_cuts >= FEW_ROUNDS


def test_locks_taken_in_the_opposite_order(shop: Shop) -> None:
    """A deadlock that cache-all must lose, for we have more patience: it sends what was rolled back once more."""
    before = deadlocks(shop)
    # Which rows it holds when it comes to ours depends on the order in which the filesystem lists files.
    assert any(deadlock_at(shop, tenth) for tenth in (5, 3, 7, 2, 8)), "it never held a row that we could wait for"
    assert wait_until(lambda: deadlocks(shop) > before, 60, "the deadlock in the statistics")


def deadlock_at(shop: Shop, tenth: int) -> bool:
    """Locks a row, waits until cache-all stands before it, and asks for the rows that cache-all holds by then. False:
    there were none."""
    shop.prepare("cache-all", "old_half")
    with closing(shop.database.connect()) as ours:
        ours.autocommit = False
        cursor = ours.cursor()
        cursor.execute("SET deadlock_timeout = '60s'")
        ids = [row[0] for row in shop.database.query("SELECT id FROM image_cache ORDER BY id")]
        cursor.execute("SELECT id FROM image_cache WHERE id = %s FOR UPDATE", (ids[len(ids) * tenth // 10],))
        process = shop.start("cache-all", env={"PERDURA_DB_POOL": "2"})
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND" \
                  " wait_event_type = 'Lock' AND application_name = 'perdura'"
        wait_until(lambda: shop.database.value(waiting) > 0, 60, "cache-all in front of our lock")
        cursor.execute("SELECT id FROM image_cache FOR UPDATE SKIP LOCKED")
        theirs = sorted(set(ids) - {row[0] for row in cursor.fetchall()})
        cursor.execute("SELECT id FROM image_cache WHERE id = ANY (%s) FOR UPDATE", (theirs,))
        ours.commit()
    result = finish(process)
    assert result.code == 0, result.stderr
    assert result.json["cached"] == len(shop.files) and not result.json["errors"]
    shop.check("cache-all", complete=True)
    return bool(theirs)


def deadlocks(shop: Shop) -> int:
    return shop.database.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


@pytest.mark.parametrize("start", ["none", "old_half"])
def test_all_at_once(shop: Shop, start: str) -> None:
    """Two cache-all, then two restores, then two of each, on the same folder and database."""
    total = len(shop.files)
    shop.prepare("cache-all", start)
    for report in run_together(shop, ["cache-all", "cache-all"]):
        assert report["cached"] + report["unchanged"] == total
    shop.check("cache-all", complete=True)

    shop.prepare("restore", start)
    reports = run_together(shop, ["restore", "restore"])
    assert sum(report["restored"] for report in reports) == total
    shop.check("restore", complete=True)

    shop.prepare("restore", start)
    run_together(shop, ["cache-all", "restore", "cache-all", "restore"])
    shop.check("restore", complete=True)
    shop.check("cache-all", complete=True)
    shop.complete("restore")


def run_together(shop: Shop, commands: list[str]) -> list[dict]:
    processes = [shop.start(command) for command in commands]
    results = [finish(process) for process in processes]
    for result in results:
        assert result.code == 0, f"{result.stderr}{result.stdout}"
        assert result.json["failed"] == 0
    return [result.json for result in results]


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    """A filesystem of 6 MiB of its own."""
    folder = Path(tempfile.mkdtemp(prefix="tiny-", dir="/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={6 * MiB},mode=0777", "tiny", folder]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode == 0:
        yield folder
        subprocess.run(["umount", folder], check=True)
    folder.rmdir()
    if done.returncode != 0:
        pytest.skip(f"can't mount: {done.stderr.strip()}")


def enlarge(folder: Path) -> None:
    subprocess.run(["mount", "-o", f"remount,size={512 * MiB}", folder], check=True)


@pytest.fixture
def tiny_tablespace(tiny_disk: Path, postgres: Postgres) -> Iterator[Path]:
    """Outlives the test's database, which must be gone before it can go."""
    place = tiny_disk / "tablespace"
    place.mkdir()
    User().own(place)
    postgres.execute(f"CREATE TABLESPACE tiny LOCATION '{place}'")
    yield tiny_disk
    postgres.execute("DROP TABLESPACE tiny")


def test_the_servers_disk_is_full(tiny_tablespace: Path, files: Files, perdura: Perdura) -> None:
    shop = Shop(perdura, files)
    shop.prepare("cache-all", "none")
    shop.database.query("ALTER TABLE image_cache SET TABLESPACE tiny")
    result = shop.perdura.run("cache-all", check=False)
    assert result.code == 1
    assert result.stderr.splitlines()[-1].startswith("perdura: the database server's disk or quota is full: ")
    stored = shop.check("cache-all")
    assert 0 < stored < len(files)

    enlarge(tiny_tablespace)
    shop.complete("cache-all")
    shop.database.query("ALTER TABLE image_cache SET TABLESPACE pg_default")
    shop.database.query("CHECKPOINT")


def test_the_media_disk_is_full(tiny_disk: Path, shop: Shop) -> None:
    shop.prepare("restore", "none")
    media = tiny_disk / "media"
    result = shop.perdura.run("restore", "--all", check=False, env={"PERDURA_MEDIA_ROOT": str(media)})
    assert result.code == 1
    assert "the disk is full: free some space" in result.stderr.splitlines()[-1]
    assert len(result.stderr.splitlines()) < 20
    assert 0 < check_files(shop.files, media) < len(shop.files)

    enlarge(tiny_disk)
    shop.perdura.run("restore", "--all", env={"PERDURA_MEDIA_ROOT": str(media)})
    assert check_files(shop.files, media) == len(shop.files)
    assert sorted(path.name for path in media.iterdir()) == sorted({path.split("/")[0] for path in shop.files.versions})
