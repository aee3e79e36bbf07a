"""Which images cleaning moves into the trash: none that the app or a client has used, none that was not announced."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from conftest import Perdura, Served
from files import names, picture
from past import DAY_S, age, cleaning_is_due, in_trash, pass_days, read_by_app, wait_for_cleaning
from servers import wait_until

WAIT_S = 60


@pytest.fixture
def stored(perdura: Perdura) -> Perdura:
    for name in "abcd":
        picture(perdura.media / f"{name}.png", seed=name)
    perdura.run("cache-all")
    return perdura


def clean(perdura: Perdura, **env: str) -> Served:
    """Starts an instance, which does the daily cleaning, and ends it."""
    http = Served(perdura, env)
    try:
        wait_for_cleaning(http)
    finally:
        http.stop()
    return http


def test_a_restored_file_has_the_access_time_of_its_row(stored: Perdura) -> None:
    age(stored, 40, "a.png")
    wanted = stored.database.value("SELECT extract(epoch FROM last_accessed)::float FROM image_cache"
                                   " WHERE original_path = 'a.png'")
    (stored.media / "a.png").unlink()
    stored.run("restore", "a.png")
    assert abs((stored.media / "a.png").stat().st_atime - wanted) < 0.001
    stored.run("check")
    stored.run("cache-all", "--checksum")
    assert abs((stored.media / "a.png").stat().st_atime - wanted) < 0.001  # reading by Perdura is no use
    (stored.media / "a.png").read_bytes()
    assert (stored.media / "a.png").stat().st_atime > wanted + 39 * DAY_S


def test_a_file_that_the_app_reads_is_not_cleaned_up(stored: Perdura) -> None:
    age(stored, 100, "a.png", "b.png")
    age(stored, 100, "c.png")
    read_by_app(stored, "b.png", 3)
    done = stored.run("cleanup", "--days", "90", "--json").json
    assert (done["trashed"], in_trash(stored)) == (2, ["a.png", "c.png"])
    assert set(names(stored.media)) >= {"a.png", "b.png", "c.png"}
    used = stored.database.value("SELECT extract(epoch FROM now() - last_accessed)::float FROM image_cache"
                                 " WHERE original_path = 'b.png'")
    assert 1.9 * DAY_S < used < 2.1 * DAY_S  # it may have been read until a day after the access that was noted


def test_a_restored_file_that_nobody_reads_is_no_use(stored: Perdura) -> None:
    age(stored, 60, "a.png")
    for _ in range(3):
        (stored.media / "a.png").unlink()
        stored.run("restore", "--all")
        pass_days(stored, 10)
    assert stored.run("cleanup", "--days", "85", "--json").json["trashed"] == 1
    assert in_trash(stored) == ["a.png"]


def test_what_the_app_used_after_it_was_cleaned_up_comes_back(stored: Perdura, serve: Callable[..., Served]) -> None:
    age(stored, 100, "a.png", "b.png", "c.png")
    stored.run("cleanup", "--days", "90")
    stored.run("rm", "d.png")
    assert in_trash(stored) == ["a.png", "b.png", "c.png", "d.png"]
    (stored.media / "a.png").read_bytes()
    http = serve()
    wait_until(lambda: in_trash(stored) == ["b.png", "c.png", "d.png"], WAIT_S, "the row")
    assert http.get("/media/b.png").status == 200  # its file is there
    http.stop()
    assert in_trash(stored) == ["c.png", "d.png"]


def test_uses_are_noted_when_an_instance_ends(stored: Perdura, serve: Callable[..., Served]) -> None:
    http = serve()
    wait_until(lambda: stored.database.value("SELECT count(use_at) FROM instance"), WAIT_S, "the first notes")
    age(stored, 80, "a.png", "b.png")
    (stored.media / "a.png").read_bytes()
    http.stop()
    old = "SELECT original_path FROM image_cache WHERE last_accessed < now() - interval '1 day'"
    assert stored.database.query(old) == [("b.png",)]
    assert stored.database.value("SELECT count(*) FROM instance WHERE ended_at IS NOT NULL") == 1


@contextmanager
def no_access_times(perdura: Perdura) -> Iterator[None]:
    """The media folder on a filesystem that is mounted with noatime."""
    if os.system(f"mount -t tmpfs -o noatime none {perdura.media}") != 0:
        pytest.skip("cannot mount a filesystem here")
    try:
        yield
    finally:
        os.system(f"umount {perdura.media}")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a filesystem")
def test_without_access_times_nothing_is_cleaned_up(perdura: Perdura) -> None:
    with no_access_times(perdura):
        picture(perdura.media / "a.png", seed=1)
        perdura.run("cache-all")
        age(perdura, 400, "a.png")
        refused = perdura.run("cleanup", "--days", "90", check=False)
        assert refused.code == 1 and "noatime" in refused.stderr and "a use is not known" not in refused.stderr
        assert in_trash(perdura) == []
        assert perdura.run("cleanup", "--days", "90", "--dry-run", "--json").json["trashed"] == 1
        cleaning_is_due(perdura)
        http = clean(perdura, PERDURA_CLEANUP_DAYS="90")
        assert in_trash(perdura) == [] and "noatime" in http.shown()
        status = perdura.run("status", "--json").json["cleanup"]
        assert "noatime" in status["refused"] and status["use_known_since"] is None
        assert "cleaning   refused" in perdura.run("status").stdout
        job = perdura.database.query("SELECT state, result->>'failure' FROM job_run WHERE kind = 'cleanup'")
        assert [(state, "noatime" in why) for state, why in job if why] == [("failed", True)] * 2
        assert perdura.run("cleanup", "--days", "90", "--requests-only", "--json").json["trashed"] == 1


def test_another_instance_that_notes_nothing_stops_the_cleaning(stored: Perdura) -> None:
    age(stored, 100, "a.png")
    row = "INSERT INTO instance (id, host, first_seen, seen_at, use_at) VALUES ('x', 'web-2', now() - interval '8 days',"
    stored.database.query(f"{row} now() - interval '2 days', now() - interval '4 days')")
    refused = stored.run("cleanup", "--days", "90", check=False)
    assert refused.code == 1 and "web-2" in refused.stderr and in_trash(stored) == []
    stored.database.query("UPDATE instance SET seen_at = now() - interval '8 days', use_at = NULL")
    assert stored.run("cleanup", "--days", "90", "--json").json["trashed"] == 1


def test_live_images_are_announced_for_a_week(stored: Perdura) -> None:
    env = {"PERDURA_CLEANUP_DAYS": "90"}
    cleaning_is_due(stored)
    clean(stored, **env)
    stored.database.query("UPDATE cleanup_day SET use_since = now() - interval '100 days'")  # uses were known all along
    age(stored, 400, "a.png", "b.png", "c.png")
    for day in range(9):
        pass_days(stored, 1)
        http = clean(stored, **env)
        status = stored.run("status", "--json").json["cleanup"]
        if day < 7:
            assert in_trash(stored) == [], day
            assert status["announced_images"] == (3 if day < 3 or day == 6 else 2), (day, status)
            assert http.shown().count("unused images will be moved into the trash") == 1, http.shown()
        if day == 2:
            read_by_app(stored, "b.png", 0.5)  # it drops out
        if day == 5:
            picture(stored.media / "new.png", seed="new")
            stored.run("cache-all")
            age(stored, 300, "new.png")  # nobody has announced it
    assert in_trash(stored) == ["a.png", "c.png"]
    assert stored.run("status", "--json").json["cleanup"]["cleaned_up_images"] == 2


def test_switching_it_off_and_on_begins_a_new_week(stored: Perdura) -> None:
    cleaning_is_due(stored)
    clean(stored)
    stored.database.query("UPDATE cleanup_day SET use_since = now() - interval '1000 days'")
    age(stored, 400, "a.png")
    for days in ["90"] * 6 + ["off"] + ["90"] * 7:
        pass_days(stored, 1)
        clean(stored, PERDURA_CLEANUP_DAYS=days)
        assert in_trash(stored) == []
    pass_days(stored, 1)
    clean(stored, PERDURA_CLEANUP_DAYS="90")
    assert in_trash(stored) == ["a.png"]


def test_fewer_days_are_announced_as_well(stored: Perdura) -> None:
    cleaning_is_due(stored)
    clean(stored, PERDURA_CLEANUP_DAYS="90")
    stored.database.query("UPDATE cleanup_day SET use_since = now() - interval '1000 days'")
    age(stored, 40, "a.png")
    for _ in range(8):
        pass_days(stored, 1)
        clean(stored, PERDURA_CLEANUP_DAYS="90")
    for day in range(8):
        assert in_trash(stored) == [], day
        pass_days(stored, 1)
        clean(stored, PERDURA_CLEANUP_DAYS="30")
    assert in_trash(stored) == ["a.png"]


def test_a_clock_that_jumps_begins_a_new_week(stored: Perdura) -> None:
    cleaning_is_due(stored)
    clean(stored, PERDURA_CLEANUP_DAYS="90")
    stored.database.query("UPDATE cleanup_day SET use_since = now() - interval '1000 days'")
    age(stored, 60, "a.png")
    pass_days(stored, 1)
    clean(stored, PERDURA_CLEANUP_DAYS="90")
    pass_days(stored, 365)
    clean(stored, PERDURA_CLEANUP_DAYS="90")
    assert in_trash(stored) == []


def test_uses_must_be_known_for_all_these_days(stored: Perdura) -> None:
    """As after an upgrade: what the app read before is not known."""
    age(stored, 400, "a.png")
    cleaning_is_due(stored)
    for _ in range(10):
        http = clean(stored, PERDURA_CLEANUP_DAYS="30")
        assert in_trash(stored) == [] and "uses of files not known for long enough" in http.shown()
        pass_days(stored, 1)


def old_version_trashes(perdura: Perdura, *paths: str) -> None:
    for path in paths:
        perdura.database.query(
            "UPDATE image_cache SET deleted_at = now() - interval '20 days', cleaned_up = true, cleaned_at = now()"
            " WHERE original_path = %s", path)
    perdura.database.query("UPDATE image_cache SET cleaned_at = NULL WHERE cleaned_up")


def test_restore_brings_back_what_a_cleaning_trashed(stored: Perdura, serve: Callable[..., Served]) -> None:
    before = {path: (stored.media / path).read_bytes() for path in ("a.png", "b.png")}
    old_version_trashes(stored, *before)
    stored.run("rm", "c.png")
    for path in before:
        (stored.media / path).unlink()
    http = serve(PERDURA_TRASH_DAYS="1")
    wait_until(lambda: "perdura restore --cleaned-up" in http.shown(), WAIT_S, "the report")
    line = next(line for line in http.shown().splitlines() if "--cleaned-up" in line)
    assert "images=2" in line and http.get("/image-cache/status").json["cleanup"]["undecided_images"] == 2
    http.stop()
    assert "2 images that nobody deleted" in stored.run("status").stdout
    # No timer deletes them.
    stored.database.query("UPDATE image_cache SET deleted_at = now() - interval '1 year' WHERE cleaned_up")
    stored.run("cleanup", "--days", "36500")
    would = stored.run("restore", "--cleaned-up", "--dry-run", "--json").json
    assert (would["restored"], len(in_trash(stored))) == (2, 3)
    done = stored.run("restore", "--cleaned-up")
    assert done.stdout.startswith("took 2 images out of the trash\nrestored 2 files")
    assert in_trash(stored) == ["c.png"]
    assert {path: (stored.media / path).read_bytes() for path in before} == before
    assert stored.run("restore", "--cleaned-up", "--json").json["restored"] == 0
    status = stored.run("status", "--json").json["cleanup"]
    assert (status["cleaned_up_images"], status["undecided_images"]) == (0, 0)


def test_restore_over_http_and_many(perdura: Perdura, serve: Callable[..., Served]) -> None:
    perdura.database.query(
        "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256, deleted_at,"
        " cleaned_up, cleaned_at)"
        " SELECT 'p' || n, 'YWJj', 3, 'image/png', sha256('abc'), now(), true, now() FROM generate_series(1, 2300) n"
    )
    http = serve(PERDURA_RESTORE="none")
    assert http.post("/image-cache/restore", {"cleaned_up": True, "paths": ["p1"]}).status == 400
    assert http.post("/image-cache/restore", {"cleaned_up": True}).json["restored"] == 2300
    assert in_trash(perdura) == [] and sum(name.startswith("p") for name in names(perdura.media)) == 2300


def test_an_image_that_leaves_the_trash_counts_as_used(stored: Perdura) -> None:
    """The same bytes, written again, after a long time in the trash."""
    stored.run("rm", "a.png")
    stored.database.query("UPDATE image_cache SET last_accessed = now() - interval '200 days' WHERE original_path = 'a.png'")
    picture(stored.media / "a.png", seed="a")
    read_by_app(stored, "a.png", 150)
    stored.run("cache-all")
    assert in_trash(stored) == [] and stored.run("cleanup", "--days", "90", "--json").json["trashed"] == 0


def test_what_is_restored_while_the_trash_is_emptied_stays(stored: Perdura) -> None:
    """The cleaning meets the row of an image that somebody is taking out of the trash, and leaves it."""
    stored.run("rm", "a.png", "b.png")
    stored.database.query("UPDATE image_cache SET deleted_at = now() - interval '40 days' WHERE deleted_at IS NOT NULL")
    connection = stored.database.connect()
    try:
        connection.autocommit = False
        cursor = connection.cursor()
        cursor.execute("UPDATE image_cache SET deleted_at = NULL WHERE original_path = 'a.png'")
        assert stored.run("cleanup", "--days", "90", "--json").json["purged"] == 1
        connection.commit()
    finally:
        connection.close()
    assert stored.run("cleanup", "--days", "90", "--json").json["purged"] == 0
    assert stored.database.query("SELECT original_path FROM image_cache WHERE original_path IN ('a.png', 'b.png')") == [
        ("a.png",)
    ]
    stored.run("restore", "a.png")
    assert (stored.media / "a.png").exists()
