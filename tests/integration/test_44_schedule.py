"""What is done by the clock: the cleaning, once a day for all instances, at a time that is faked here; and syncs that go
on through whatever comes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import images
import pytest
from conftest import Perdura, Served
from servers import wait_until
from uploads import ORIGINS, upload

WAIT_S = 150  # a cleaning waits for what other instances have noted, for a minute at most
PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
LIBRARY = next((str(path) for place in PLACES for path in Path("/").glob(place[1:])), None)

pytestmark = [
    pytest.mark.skipif(not LIBRARY, reason="install the package `faketime`"),
    pytest.mark.skipif("ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ, reason="a sanitizer comes first"),
]


def at(moment: str, zone: str = "UTC0") -> dict[str, str]:
    """The environment of a program whose clock begins there, by local time, and goes on as usual."""
    return {
        "LD_PRELOAD": LIBRARY or "",
        "FAKETIME": f"@{moment}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        "TZ": zone,
    }


class Stage:
    def __init__(self, perdura: Perdura) -> None:
        assert perdura.database
        self.perdura = perdura
        self.database = perdura.database
        self.running: list[Served] = []

    def add_old(self, count: int = 3) -> None:
        """Images that have been in the trash for longer than it keeps them."""
        for i in range(count):
            path = self.perdura.folder / f"{i}.png"
            path.write_bytes(images.make("png", i))
            self.perdura.run("put", path, f"old/{i}.png")
        self.database.query("UPDATE image_cache SET deleted_at = now() - interval '31 days'")

    def serve(self, **env: str) -> Served:
        http = Served(self.perdura, env)
        self.running.append(http)
        return http

    def stop_all(self) -> None:
        for http in self.running:
            http.stop()
        self.running.clear()

    def kept(self) -> int:
        return self.database.value("SELECT count(*) FROM image_cache")

    def cleanings(self) -> int:
        return self.database.value("SELECT count(*) FROM job_run WHERE kind = 'cleanup'")

    def day(self) -> str | None:
        rows = self.database.query("SELECT day::text FROM schedule WHERE kind = 'cleanup'")
        return rows[0][0] if rows else None

    def wait_for_cleaning(self, count: int) -> None:
        """The images of add_old() are deleted, by so many cleanings in all."""
        wait_until(lambda: self.cleanings() == count, WAIT_S, f"cleaning {count}")
        assert self.kept() == 0

    def wait_for_day(self, day: str) -> None:
        wait_until(lambda: self.day() == day, WAIT_S, f"the cleaning of {day}")


@pytest.fixture
def stage(perdura: Perdura) -> Iterator[Stage]:
    found = Stage(perdura)
    yield found
    found.stop_all()


def told(http: Served) -> int:
    return http.shown().count('event="daily cleaning"')


def test_at_two_one_of_several_instances_cleans_up(stage: Stage) -> None:
    stage.add_old()
    servers = [stage.serve(**at("2026-11-21 01:59:54")) for _ in range(3)]
    stage.wait_for_cleaning(1)
    stage.wait_for_day("2026-11-21")
    # A fourth one comes a moment later, and one whose clock is slow.
    servers += [stage.serve(**at("2026-11-21 02:00:30")), stage.serve(**at("2026-11-21 01:59:57"))]
    wait_until(lambda: asked(servers[-1]), WAIT_S, "the slow clock's two o'clock")
    stage.stop_all()
    assert stage.cleanings() == 1 and sum(map(told, servers)) == 1


def asked(http: Served) -> bool:
    """Its clock says that two o'clock is past: a request is logged by nobody, so its own health tells the date."""
    date = http.get("/health")["Date"]
    return bool(date) and "02:00:" in date


def test_not_before_its_time_and_again_the_next_day(stage: Stage) -> None:
    stage.add_old()
    stage.serve(**at("2026-11-21 01:30:00"))
    stage.wait_for_day("2026-11-20")
    assert (stage.kept(), stage.cleanings()) == (3, 0)
    stage.stop_all()
    for i, day in enumerate(("2026-11-21", "2026-11-22")):
        stage.add_old()
        stage.serve(**at(f"{day} 01:59:57"))
        stage.wait_for_day(day)
        stage.wait_for_cleaning(i + 1)
        stage.stop_all()


def test_a_day_on_which_nobody_was_there_is_made_up_for(stage: Stage) -> None:
    stage.add_old()
    stage.serve(**at("2026-11-21 02:10:00"))
    stage.wait_for_cleaning(1)
    stage.stop_all()
    stage.add_old()
    stage.serve(**at("2026-11-24 15:00:00"))
    stage.wait_for_day("2026-11-24")
    stage.wait_for_cleaning(2)


def test_the_hour_is_that_of_the_local_clock(stage: Stage) -> None:
    stage.add_old()
    stage.serve(**at("2026-11-21 23:29:57", "<-05>5"), PERDURA_CLEANUP_AT="23:30")
    stage.wait_for_day("2026-11-21")
    stage.wait_for_cleaning(1)


def test_a_clock_that_was_far_ahead_stops_nothing_for_good(stage: Stage) -> None:
    stage.database.query(
        "INSERT INTO schedule VALUES ('cleanup', '2036-01-01', 'somebody', now() - interval '26 hours')"
    )
    stage.add_old()
    stage.serve(**at("2026-11-21 12:00:00"))
    stage.wait_for_day("2026-11-21")
    stage.wait_for_cleaning(1)
    stage.stop_all()
    stage.database.query("UPDATE schedule SET day = '2036-01-01'")
    stage.serve(**at("2026-11-23 02:00:00"))
    wait_until(lambda: "perdura_uploads_pending" in stage.running[0].get("/metrics").body.decode(), WAIT_S, "a look")
    assert stage.day() == "2036-01-01" and stage.cleanings() == 1


def test_auto_sync_cleans_up_as_well(stage: Stage) -> None:
    stage.add_old()
    stage.perdura.start("auto-sync", "--daemon", env=at("2026-11-21 01:59:57"))
    stage.wait_for_cleaning(1)
    assert stage.day() == "2026-11-21"


def test_old_copies_and_forgotten_uploads_go_with_it(stage: Stage, folder: Path) -> None:
    http = stage.serve(**at("2026-11-20 12:00:00"), PERDURA_ORIGINS=ORIGINS)
    name = upload(http, images.make("png", 1))
    stage.stop_all()
    stage.database.query(
        "UPDATE upload SET sync_status = 'completed', image_data = NULL, completed_at = now() - interval '31 days'"
    )
    copies = folder / "var/cache/images/mascotas"
    copies.mkdir(parents=True)
    for digit, mtime in (("a", 0), ("b", None)):
        copy = copies / (digit * 32 + ".jpg")
        copy.write_bytes(b"1")
        if mtime is not None:
            os.utime(copy, (mtime, mtime))
    http = stage.serve(**at("2026-11-21 01:59:57"), PERDURA_ORIGINS=ORIGINS)
    wait_until(lambda: "expired copies and uploads purged" in http.shown(), WAIT_S, "the cleaning")
    assert [copy.name[0] for copy in copies.iterdir()] == ["b"]
    assert http.get(f"/sync-status/{name}").status == 404


def test_the_database_may_come_late(stage: Stage) -> None:
    """What could not be asked at its time is asked when there is somebody to ask."""
    stage.add_old()
    stage.database.query("INSERT INTO schedule VALUES ('cleanup', '2026-11-20', 'somebody')")
    stage.database.server.stop("immediate")
    stage.serve(**at("2026-11-21 01:59:58"))
    wait_until(lambda: asked(stage.running[0]), WAIT_S, "two o'clock")
    stage.database.server.start()
    stage.wait_for_cleaning(1)
    assert stage.day() == "2026-11-21"


def test_by_default_no_live_image_is_trashed(stage: Stage) -> None:
    stage.add_old()
    stage.database.query("UPDATE image_cache SET last_accessed = now() - interval '10 years', deleted_at = NULL")
    stage.database.query("INSERT INTO schedule VALUES ('cleanup', '2026-11-20', 'somebody')")
    trashed = stage.perdura.folder / "0.png"
    stage.perdura.run("put", trashed, "deleted.png")
    stage.perdura.run("rm", "deleted.png")
    stage.database.query("UPDATE image_cache SET deleted_at = now() - interval '31 days' WHERE deleted_at IS NOT NULL")
    http = stage.serve(**at("2026-11-21 01:59:57"))
    wait_until(lambda: told(http), WAIT_S, "the cleaning")
    assert stage.database.query("SELECT count(*), count(deleted_at) FROM image_cache") == [(3, 0)]
