"""kill -9, SIGTERM and SIGINT of the program, and an immediate stop of PostgreSQL, at random moments."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from faults import COMMANDS, OWN_FOLDER, ROUNDS, Shop, Tally, files, finish, rng, shop, told  # noqa: F401
from servers import Postgres, wait_until

STARTS = ("none", "old_half")
POOLS = ("2", "4")  # connections: one of them looks things up, each of the others moves images
PATIENCE_S = 30
COUNTERS = {
    "cache-all": ("cached", "unchanged", "in_trash", "older", "ignored", "failed"),
    "restore": ("restored", "present", "newer", "failed"),
}


class Round(NamedTuple):
    process: subprocess.Popen[bytes]
    after_s: float


def play(
    shop: Shop, command: str, rounds: int, name: str, tally: Tally, least_middle: float = 0.15
) -> Iterator[Round]:
    """Starts the command again and again and gives it back at a random moment of its run, `rounds` times or more: as
    long as too small a part of these moments was in the middle of its work.

    A restore gives files their names in short bursts, so every other moment is a random one behind the first name.
    """
    moments = rng(f"{name} {command}")
    number = 0
    while len(tally.hits) < rounds or tally.middle < rounds * least_middle:
        start, pool = STARTS[number % 2], POOLS[number // 4 % len(POOLS)]
        phase = "from the first name on" if command == "restore" and number // 2 % 2 else "from the start"
        after_s = moments.uniform(0, shop.expected_seconds(command, start, pool, phase))
        shop.prepare(command, start)
        with told(f"{name} of {command}, round {number}: {start}, {pool} connections, {after_s:.4f} s {phase}"):
            process = shop.start(command, env={"PERDURA_DB_POOL": pool})
            while phase != "from the start" and not shop.named_a_file() and process.poll() is None:
                pass
            began = time.monotonic()
            try:
                process.wait(after_s)
            except subprocess.TimeoutExpired:
                shop.seconds[command, start, pool, phase] *= 1.05  # the machine may have become slower
                yield Round(process, after_s)
            else:
                tally.missed += 1
                shop.seconds[command, start, pool, phase] = max(time.monotonic() - began, 0.001)
                assert finish(process).code == 0
                shop.complete(command)
        number += 1
        assert number < rounds * 4 + 20, f"too few moments are in the middle of the work: {tally}"
    print(f"\n    {name} of {command}: {tally}", flush=True)


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
    for number, (process, after_s) in enumerate(play(shop, command, rounds, name, tally)):
        process.send_signal(signals[number % len(signals)])
        result = finish(process)
        if result.code >= 0:  # it ended between our look and the signal
            tally.missed += 1
        else:
            assert -result.code in signals, result
            temporaries = shop.temporaries()
            tally.hit(after_s, shop.check(command), temporaries, len(shop.files))
        shop.complete(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_program_outlives_an_immediate_stop_of_postgresql(shop: Shop, command: str, postgres: Postgres) -> None:
    """The server is gone for as long as a crash's recovery takes, and the program waits for it."""
    tally = Tally()
    for process, after_s in play(shop, command, ROUNDS, "immediate stop", tally, least_middle=0.05):
        watch = shop.database.connect()
        wait_for_connection(watch, process)
        done, temporaries = shop.done(command), shop.temporaries()
        watch.close()
        running = process.poll() is None
        postgres.kill_immediate()
        postgres.start()
        started = time.monotonic()
        result = finish(process)
        assert result.code == 0, f"exit {result.code}: {result.stderr}{result.stdout}"
        assert time.monotonic() - started < PATIENCE_S
        report = result.json
        assert not report["errors"] and sum(report[name] for name in COUNTERS[command]) == len(shop.files), report
        if running:
            tally.hit(after_s, done, temporaries, len(shop.files))
        else:
            tally.missed += 1
        shop.check(command, complete=True)
        shop.complete(command)


@pytest.mark.parametrize("command", ["restore"])
def test_a_program_that_stood_still_finds_postgresql_stopped(shop: Shop, command: str, postgres: Postgres) -> None:
    """What it has to read is a last message of the server's and then the end; and it writes before it reads."""
    tally = Tally()
    for process, after_s in play(shop, command, ROUNDS, "stop while standing still", tally, least_middle=0.05):
        done, temporaries = shop.done(command), shop.temporaries()
        process.send_signal(signal.SIGSTOP)
        running = process.poll() is None
        postgres.kill_immediate()
        postgres.start()
        process.send_signal(signal.SIGCONT)
        result = finish(process)
        assert result.code == 0, f"exit {result.code}: {result.stderr}{result.stdout}"
        if running:
            tally.hit(after_s, done, temporaries, len(shop.files))
        else:
            tally.missed += 1
        shop.check(command, complete=True)
        shop.complete(command)


def wait_for_connection(watch: Any, process: subprocess.Popen[bytes]) -> None:
    """Before it has one, a server that is gone is a server that is not there, and ends the program at once."""
    cursor = watch.cursor()

    def connected() -> bool:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'perdura' AND state IS NOT NULL"
        )
        return cursor.fetchone()[0] > 0 or process.poll() is not None

    wait_until(connected, 60, "the program's first connection")


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
