"""rm, cleanup, and the way back."""

from __future__ import annotations

import pytest
from conftest import Perdura
from files import fingerprint, names, picture
from past import age


@pytest.fixture
def stored(perdura: Perdura) -> Perdura:
    """Three images, stored."""
    for name in "abc":
        picture(perdura.media / f"{name}.png", seed=name)
    perdura.run("cache-all")
    return perdura


def in_trash(perdura: Perdura) -> list[str]:
    return sorted(image["original_path"] for image in perdura.run("list", "--trash", "--json").json)


def live(perdura: Perdura) -> list[str]:
    return [image["original_path"] for image in perdura.run("list", "--json").json]


def bury(perdura: Perdura, path: str, days: float) -> None:
    """As if it had been put into the trash so long ago."""
    perdura.database.query(
        "UPDATE image_cache SET deleted_at = now() - make_interval(secs => %s) WHERE original_path = %s",
        days * 86400,
        path,
    )


def test_rm_moves_into_the_trash_and_removes_the_file(stored: Perdura) -> None:
    assert stored.run("rm", "a.png", "b.png").stdout == "moved a.png into the trash\nmoved b.png into the trash\n"
    assert (live(stored), in_trash(stored)) == (["c.png"], ["a.png", "b.png"])
    assert names(stored.media) == {"c.png"}
    assert stored.run("info", "a.png", "--json").json["state"] == "trash"
    assert stored.run("get", "a.png", check=False).code == 1
    assert stored.run("check").code == 0


def test_rm_dry_run_changes_nothing(stored: Perdura) -> None:
    assert stored.run("rm", "a.png", "--dry-run").stdout == "would move a.png into the trash\n"
    assert len(live(stored)) == len(names(stored.media)) == 3
    picture(stored.media / "b.png", seed=2)
    for path in ("b.png", "nowhere.png"):
        assert stored.run("rm", path, "--dry-run", check=False).code == 1


def test_rm_of_what_is_not_stored_says_so_and_goes_on(stored: Perdura) -> None:
    result = stored.run("rm", "nowhere.png", "a.png", check=False)
    assert result.code == 1
    assert result.stderr == "perdura: nowhere.png is not stored\n"
    assert in_trash(stored) == ["a.png"]
    again = stored.run("rm", "a.png", check=False)
    assert (again.code, again.stderr) == (1, "perdura: a.png is in the trash already\n")


def test_rm_takes_the_file_of_what_is_in_the_trash_already(stored: Perdura) -> None:
    """cleanup leaves files alone, and a file that could not be removed stays behind."""
    bytes_before = (stored.media / "a.png").read_bytes()
    stored.run("rm", "a.png")
    stored.run("restore", "a.png")
    stored.database.query("UPDATE image_cache SET deleted_at = now() WHERE original_path = 'a.png' RETURNING id")
    assert (stored.media / "a.png").read_bytes() == bytes_before
    stored.run("rm", "a.png")
    assert not (stored.media / "a.png").exists()
    assert in_trash(stored) == ["a.png"]


def test_rm_does_not_take_a_change_that_is_not_stored(stored: Perdura) -> None:
    changed = picture(stored.media / "a.png", seed=2)
    result = stored.run("rm", "a.png", check=False)
    assert result.code == 1
    assert "was changed on disk since it was stored" in result.stderr and "--force" in result.stderr
    assert (stored.media / "a.png").read_bytes() == changed
    assert in_trash(stored) == []
    stored.run("rm", "a.png", "--force")
    assert not (stored.media / "a.png").exists()
    assert in_trash(stored) == ["a.png"]


def test_rm_shows_a_name_in_one_line(stored: Perdura) -> None:
    picture(stored.media / "two\nlines.png")
    stored.run("cache-all")
    assert stored.run("rm", "two\nlines.png").stdout == "moved two\\nlines.png into the trash\n"


def test_rm_never_leaves_the_media_folder(stored: Perdura) -> None:
    outside = stored.folder / "outside"
    picture(outside / "a.png")
    (stored.media / "link").symlink_to(outside)
    stored.database.query("UPDATE image_cache SET original_path = 'link/a.png' WHERE original_path = 'a.png'")
    for path in ("../outside/a.png", str(outside / "a.png"), "link/a.png"):
        stored.run("rm", path, "--force", check=False)
    assert (outside / "a.png").exists()


def test_rm_tells_it_as_json(stored: Perdura) -> None:
    for dry_run in (True, False):
        result = stored.run("rm", "a.png", "--json", *(["--dry-run"] if dry_run else []))
        assert result.json == {"collection": "media", "original_path": "a.png", "dry_run": dry_run}
    assert in_trash(stored) == ["a.png"]


def test_restore_by_name_takes_it_out_of_the_trash(stored: Perdura) -> None:
    before = fingerprint(stored.media)
    stored.run("rm", "a.png", "b.png")
    stored.run("restore", "a.png")
    assert (live(stored), in_trash(stored)) == (["a.png", "c.png"], ["b.png"])
    del before["b.png"]
    assert fingerprint(stored.media) == before


def test_restore_all_leaves_the_trash_alone(stored: Perdura) -> None:
    stored.run("rm", "a.png")
    stored.run("restore", "--all")
    assert names(stored.media) == {"b.png", "c.png"}
    assert in_trash(stored) == ["a.png"]


def test_put_takes_it_out_of_the_trash(stored: Perdura) -> None:
    picture(stored.folder / "a.png", seed="a")
    stored.run("rm", "a.png")
    assert stored.run("put", "a.png", "--json").json["result"] == "created"
    assert in_trash(stored) == [] and (stored.media / "a.png").exists()


def test_file_that_stays_as_it_is_stays_in_the_trash(stored: Perdura) -> None:
    """cleanup leaves files alone; the next cache-all must not undo it."""
    age(stored, 100, "a.png")
    stored.run("cleanup", "--days", "90")
    assert names(stored.media) == {"a.png", "b.png", "c.png"}
    for args in ((), ("--checksum",)):
        report = stored.run("cache-all", "--json", *args).json
        assert (report["cached"], report["unchanged"], report["in_trash"]) == (0, 2, 1)
    assert in_trash(stored) == ["a.png"]
    assert "1 in the trash" in stored.run("cache-all").stdout


def test_changed_file_comes_out_of_the_trash(stored: Perdura) -> None:
    age(stored, 100, "a.png")
    stored.run("cleanup", "--days", "90")
    data = picture(stored.media / "a.png", seed="new")
    assert stored.run("cache-all", "--json").json["cached"] == 1
    assert in_trash(stored) == []
    (stored.media / "a.png").unlink()
    assert stored.run("get", "a.png").stdout_bytes == data


def test_rewritten_file_comes_out_of_the_trash(stored: Perdura) -> None:
    """The same bytes, written again: someone wants it."""
    before = stored.database.value("SELECT changed_xid::text::bigint FROM image_cache WHERE original_path = 'a.png'")
    stored.run("rm", "a.png")
    picture(stored.media / "a.png", seed="a")
    stored.run("cache-all")
    assert in_trash(stored) == []
    after = stored.database.value("SELECT changed_xid::text::bigint FROM image_cache WHERE original_path = 'a.png'")
    assert after > before


def test_cleanup_takes_what_nobody_asked_for(stored: Perdura) -> None:
    age(stored, 90.01, "a.png")
    age(stored, 89.99, "b.png")
    size = (stored.media / "a.png").stat().st_size
    dry = stored.run("cleanup", "--days", "90", "--json", "--dry-run").json
    assert (dry["trashed"], dry["trashed_bytes"], dry["dry_run"]) == (1, size, True)
    assert in_trash(stored) == []
    done = stored.run("cleanup", "--days", "90", "--json").json
    assert (done["trashed"], done["trashed_bytes"]) == (1, size)
    assert in_trash(stored) == ["a.png"]
    assert stored.run("cleanup", "--days", "90", "--json").json["trashed"] == 0


@pytest.mark.parametrize("args", [("--days", "10"), ("--cleanup-days", "10")])
def test_cleanup_days(stored: Perdura, args: tuple[str, ...]) -> None:
    age(stored, 11, "a.png")
    age(stored, 9, "b.png")
    assert "1 images" in stored.run("cleanup", *args).stdout
    assert in_trash(stored) == ["a.png"]


def test_dry_run_counts_what_cleanup_takes(stored: Perdura) -> None:
    """Whole days come from counters and the day of the limit from rows: both sides of each midnight."""
    stored.database.query(
        "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256, last_accessed)"
        " SELECT 'p' || n, 'YWJj', 3, 'image/png', sha256('abc'), now() - n * interval '1 hour'"
        " FROM generate_series(1, 240) n"
    )
    for days in (9, 7, 5, 2, 1):
        counted = stored.run("cleanup", "--days", str(days), "--dry-run", "--json").json
        assert counted["trashed"] > 0
        done = stored.run("cleanup", "--days", str(days), "--json").json
        assert (counted["trashed"], counted["trashed_bytes"]) == (done["trashed"], done["trashed_bytes"])


def test_cleanup_empties_the_trash_after_30_days(stored: Perdura) -> None:
    bury(stored, "a.png", days=30.1)
    bury(stored, "b.png", days=29.9)
    assert stored.run("cleanup", "--days", "90", "--json", "--dry-run").json["purged"] == 1
    assert stored.run("cleanup", "--days", "90", "--json").json["purged"] == 1
    assert (live(stored), in_trash(stored)) == (["c.png"], ["b.png"])
    assert names(stored.media) == {"a.png", "b.png", "c.png"}
    assert stored.database.query("SELECT original_path FROM image_tombstone") == [("a.png",)]
    result = stored.run("restore", "a.png", check=False)
    assert (result.code, result.stderr) == (1, "perdura: a.png is not stored\n")


def test_cleanup_forgets_names_of_deleted_rows_after_400_days(stored: Perdura) -> None:
    stored.database.query("DELETE FROM image_cache WHERE original_path IN ('a.png', 'b.png')")
    stored.database.query(
        "UPDATE image_tombstone SET buried_at = now() - interval '401 days' WHERE original_path = 'a.png'"
    )
    stored.run("cleanup", "--days", "90")
    assert stored.database.query("SELECT original_path FROM image_tombstone") == [("b.png",)]


def test_cleanup_of_many(perdura: Perdura) -> None:
    """More than fit into one batch."""
    perdura.database.query(
        "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256, last_accessed)"
        " SELECT 'p' || n, 'YWJj', 3, 'image/png', sha256('abc'), now() - interval '1 year'"
        " FROM generate_series(1, 2500) n"
    )
    assert perdura.run("cleanup", "--days", "90", "--json").json["trashed"] == 2500
    status = perdura.run("status", "--json").json
    assert (status["images"], status["trash_images"], status["trash_bytes"]) == (0, 2500, 7500)
    perdura.database.query("UPDATE image_cache SET deleted_at = now() - interval '31 days'")
    assert perdura.run("cleanup", "--days", "90", "--json").json["purged"] == 2500
    assert perdura.run("status", "--json").json["trash_images"] == 0
