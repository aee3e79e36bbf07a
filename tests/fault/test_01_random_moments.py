"""kill -9, SIGTERM and SIGINT of the program, and an immediate stop of PostgreSQL, at random moments."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Database, Perdura, fresh_database, perdura_binary
from faults import OWN_FOLDER, ROUNDS, Files, Shop, Tally, finish, rng, told

from servers import Postgres, wait_until

COMMANDS = ("cache-all", "restore")
STARTS = ("none", "old_half")
POOLS = ("4", "2")  # three threads that move images, and one
PATIENCE_S = 30


@pytest.fixture(scope="module")
def shop(session_folder: Path, postgres: Postgres, migrated_template: str) -> Iterator[Shop]:
    """One for all rounds: making the files takes longer than a round."""
    folder = session_folder / "random-moments"
    folder.mkdir()
    for database in fresh_database(postgres, folder, migrated_template):
        yield make_shop(folder, database)


def make_shop(folder: Path, database: Database) -> Shop:
    return Shop(Perdura(perdura_binary(), folder, database), Files(folder))


def play(shop: Shop, command: str, rounds: int, name: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Prepares each round; gives where it starts from, its settings, and how long after its start the fault comes."""
    moments = rng(f"{name} {command}")
    seconds = {
        (start, pool): shop.seconds(command, start, {"PERDURA_DB_POOL": pool}) for start in STARTS for pool in POOLS
    }
    for i in range(rounds):
        start, pool = STARTS[i % 2], POOLS[i // 2 % 2]
        after_s = moments.uniform(0, seconds[start, pool])
        shop.prepare(command, start)
        with told(f"{name} of {command}, round {i}, from {start} with {pool} connections, after {after_s:.4f} s"):
            yield start, {"PERDURA_DB_POOL": pool}, after_s


def judge(tally: Tally, name: str, rounds: int) -> None:
    print(f"\n    {name}: {tally}", flush=True)
    assert len(tally.rounds) == rounds
    assert tally.running >= rounds * 0.6 and tally.middle >= rounds * 0.25, f"{name} hit too seldom: {tally.rounds}"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "signals", "rounds"),
    [
        ("kill -9", [signal.SIGKILL], ROUNDS),
        ("SIGTERM or SIGINT", [signal.SIGTERM, signal.SIGINT], max(4, ROUNDS // 4)),
    ],
)
def test_a_killed_run_leaves_nothing_torn_and_the_next_completes_it(
    shop: Shop, command: str, name: str, signals: list[signal.Signals], rounds: int
) -> None:
    tally = Tally()
    for start, settings, after_s in play(shop, command, rounds, name):
        before = len(shop.files) // 2 if start == "old_half" and command == "restore" else 0
        process = shop.start(command, env=settings)
        time.sleep(after_s)
        running = process.poll() is None
        process.send_signal(signals[len(tally.rounds) % len(signals)])
        result = finish(process)
        assert result.code <= 0 or not running, result
        done = shop.check(command)
        tally.add(after_s, running, done, 0, len(shop.files))
        shop.complete(command)
        del before
    judge(tally, f"{name} of {command}", rounds)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_program_outlives_an_immediate_stop_of_postgresql(shop: Shop, command: str, postgres: Postgres) -> None:
    tally = Tally()
    for _, settings, after_s in play(shop, command, ROUNDS, "immediate stop"):
        watch = shop.database.connect()
        process = shop.start(command, env=settings)
        wait_for_connection(watch, process)
        time.sleep(after_s)
        running = process.poll() is None
        done = shop.done(command)
        watch.close()
        postgres.kill_immediate()
        postgres.start()
        restarted = time.monotonic()
        result = finish(process)
        assert result.code == 0, f"exit {result.code}: {result.stderr}{result.stdout}"
        assert time.monotonic() - restarted < PATIENCE_S
        told_once = result.json
        assert told_once["failed"] == 0 and not told_once["errors"], told_once
        assert sum(told_once[name] for name in COUNTERS[command]) == len(shop.files), told_once
        tally.add(after_s, running, done, 0, len(shop.files))
        shop.check(command, complete=True)
        shop.complete(command)
    judge(tally, f"immediate stop during {command}", ROUNDS)


COUNTERS = {
    "cache-all": ("cached", "unchanged", "in_trash", "older", "ignored", "failed"),
    "restore": ("restored", "present", "newer", "failed"),
}


def wait_for_connection(watch, process) -> None:
    """Before it has one, a server that is gone is a server that is not there, and ends the program at once."""
    cursor = watch.cursor()

    def connected() -> bool:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'perdura' AND state IS NOT NULL"
        )
        return cursor.fetchone()[0] > 0 or process.poll() is not None

    wait_until(connected, 10, "the program's first connection")


def test_killed_at_the_very_end_it_leaves_temporaries_for_the_next_run_to_sweep(shop: Shop) -> None:
    """Nothing is missing then, so the next run writes no file; it sweeps all the same."""
    shop.prepare("restore", "new")
    left = shop.media / OWN_FOLDER / "tmp.0123456789abcdef"
    for command in COMMANDS:
        left.mkdir(parents=True)
        (left / "lock").touch()
        (left / "1").write_bytes(b"half an ima")
        assert shop.run(command).json["bytes"] == 0
        assert not (shop.media / OWN_FOLDER).exists()
