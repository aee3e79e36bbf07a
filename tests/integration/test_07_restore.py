"""restore: what comes back, and what on disk is left as it is."""

from __future__ import annotations

import os

import pytest
from conftest import Perdura
from files import fingerprint, names, picture

DAY_NS = 86_400 * 10**9
NOON_NS = 1_750_000_000_123_456_789


@pytest.fixture
def stored(perdura: Perdura) -> Perdura:
    """Three images of noon, stored and on disk."""
    for path in ("a.png", "b/c.png", "d/e/f.png"):
        picture(perdura.media / path, seed=path, mtime_ns=NOON_NS)
    perdura.run("cache-all")
    return perdura


def wipe(perdura: Perdura) -> None:
    for folder, folders, files in os.walk(perdura.media, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            os.rmdir(os.path.join(folder, name))


def restore(perdura: Perdura, *args: str, **run) -> dict:
    return perdura.run("restore", *args, "--json", **run).json


def test_all_come_back(stored: Perdura) -> None:
    before = fingerprint(stored.media)
    wipe(stored)
    report = restore(stored, "--all")
    assert (report["restored"], report["present"], report["failed"]) == (3, 0, 0)
    assert report["bytes"] == sum(file.size for file in before.values())
    assert fingerprint(stored.media) == before
    assert os.listdir(stored.media).count(".perdura") == 0


def test_says_it_in_words(stored: Perdura) -> None:
    (stored.media / "a.png").unlink()
    result = stored.run("restore", "--all")
    assert result.stdout.startswith("restored 1 files (") and result.stdout.endswith(", 2 were there, 0 failed\n")
    assert result.stderr == ""


def test_makes_a_missing_media_folder(stored: Perdura) -> None:
    before = fingerprint(stored.media)
    wipe(stored)
    stored.media.rmdir()
    stored.env["PERDURA_MEDIA_ROOT"] = str(stored.folder / "deep/er/media")
    stored.run("restore", "--all")
    assert fingerprint(stored.folder / "deep/er/media") == before


def test_named_ones_come_back(stored: Perdura) -> None:
    wipe(stored)
    result = stored.run("restore", "a.png", "nowhere.png", "../x.png", "d/e/f.png", check=False)
    assert result.code == 1
    assert [line.split(" ")[1] for line in result.stderr.splitlines()] == ["nowhere.png", "../x.png"]
    assert names(stored.media) == {"a.png", "d/e/f.png"}


def test_dry_run_changes_nothing(stored: Perdura) -> None:
    stored.run("rm", "b/c.png")
    size = sum(one.size for one in fingerprint(stored.media).values())
    wipe(stored)
    before = stored.database.rows_written()
    report = restore(stored, "--all", "--dry-run")
    assert (report["restored"], report["bytes"]) == (2, size)
    assert restore(stored, "b/c.png", "--dry-run")["restored"] == 1
    assert os.listdir(stored.media) == []
    assert stored.database.rows_written() == before
    stored.media.rmdir()
    assert restore(stored, "--all", "--dry-run")["restored"] == 2
    assert not stored.media.exists()


def test_identical_files_are_left_alone(stored: Perdura) -> None:
    before = {path: os.stat(stored.media / path) for path in names(stored.media)}
    assert restore(stored, "--all", "--force")["present"] == 3
    after = {path: os.stat(stored.media / path) for path in names(stored.media)}
    assert {p: (s.st_ino, s.st_ctime_ns) for p, s in after.items()} == {
        p: (s.st_ino, s.st_ctime_ns) for p, s in before.items()
    }


@pytest.mark.parametrize("shift_ns", [DAY_NS, -DAY_NS])
def test_same_content_with_another_time_stays(stored: Perdura, shift_ns: int) -> None:
    os.utime(stored.media / "a.png", ns=(0, NOON_NS + shift_ns))
    before = os.stat(stored.media / "a.png")
    report = restore(stored, "--all", "--force")
    assert (report["present"], report["restored"]) == (3, 0)
    after = os.stat(stored.media / "a.png")
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, NOON_NS + shift_ns)


def test_older_file_is_replaced(stored: Perdura) -> None:
    before = fingerprint(stored.media)
    picture(stored.media / "a.png", seed="old", mtime_ns=NOON_NS - 1)
    assert restore(stored, "--all")["restored"] == 1
    assert fingerprint(stored.media) == before


def test_newer_file_stays_unless_forced(stored: Perdura) -> None:
    before = fingerprint(stored.media)
    data = picture(stored.media / "a.png", seed="new", mtime_ns=NOON_NS + 1)
    result = stored.run("restore", "--all")
    assert "1 newer on disk" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("perdura: a.png is newer on disk") and "--force" in line
    assert (stored.media / "a.png").read_bytes() == data
    assert restore(stored, "a.png")["newer"] == 1
    assert (stored.media / "a.png").read_bytes() == data
    assert restore(stored, "--all", "--force")["restored"] == 1
    assert fingerprint(stored.media) == before


def test_shorter_and_empty_files_of_a_broken_copy_are_replaced(stored: Perdura) -> None:
    before = fingerprint(stored.media)
    for path, keep in (("a.png", 0), ("b/c.png", 100)):
        os.truncate(stored.media / path, keep)
        os.utime(stored.media / path, ns=(0, NOON_NS - DAY_NS))
    assert restore(stored, "--all")["restored"] == 2
    assert fingerprint(stored.media) == before


def test_other_files_of_the_app_are_left_alone(stored: Perdura) -> None:
    picture(stored.media / "not-stored.png")
    (stored.media / "notes.txt").write_text("mine")
    before = fingerprint(stored.media)
    for path in ("a.png", "b/c.png", "d/e/f.png"):
        (stored.media / path).unlink()
    stored.run("restore", "--all", "--force")
    assert fingerprint(stored.media) == before


def test_link_to_the_same_content_is_left_alone(perdura: Perdura) -> None:
    """The app keeps latest.png as a link: it must not become a file that no longer follows."""
    picture(perdura.media / "me.png", mtime_ns=NOON_NS)
    (perdura.media / "latest.png").symlink_to("me.png")
    for link_mtime_ns in (NOON_NS - DAY_NS, NOON_NS + DAY_NS):
        os.utime(perdura.media / "latest.png", ns=(0, link_mtime_ns), follow_symlinks=False)
        perdura.run("cache-all")
        report = restore(perdura, "--all", "--force")
        assert (report["present"], report["restored"], report["newer"]) == (2, 0, 0)
        assert (perdura.media / "latest.png").is_symlink()


def test_link_out_of_the_folder_is_never_written_through(stored: Perdura) -> None:
    outside = stored.folder / "outside"
    kept = picture(outside / "a.png", seed="outside", mtime_ns=NOON_NS - DAY_NS)
    wipe(stored)
    (stored.media / "a.png").symlink_to(outside / "a.png")
    (stored.media / "b").symlink_to(outside)
    result = stored.run("restore", "--all", "--force", check=False)
    assert result.code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("perdura: b/c.png ") and "link" in line
    assert names(outside) == {"a.png"} and (outside / "a.png").read_bytes() == kept
    assert not (stored.media / "a.png").is_symlink()
    assert (stored.media / "d/e/f.png").exists()


@pytest.mark.parametrize(
    "path", ["../evil.png", "d/../../evil.png", "{folder}/evil.png", "d/./evil.png", "d//evil.png"]
)
@pytest.mark.parametrize("args", [("--all",), ("--all", "--dry-run")])
def test_path_in_a_row_never_leads_out_of_the_folder(stored: Perdura, path: str, args: tuple[str, ...]) -> None:
    """Whoever can write rows must not be able to write files elsewhere."""
    path = path.format(folder=stored.folder)
    stored.database.query("UPDATE image_cache SET original_path = %s WHERE original_path = 'a.png'", path)
    (stored.media / "a.png").unlink()
    result = stored.run("restore", *args, check=False)
    assert result.code == 1
    assert path in result.stderr
    assert names(stored.folder) == {"media/b/c.png", "media/d/e/f.png"}


def test_folder_in_the_place_of_a_file_is_told(stored: Perdura) -> None:
    (stored.media / "a.png").unlink()
    (stored.media / "a.png").mkdir()
    (stored.media / "b/c.png").unlink()
    (stored.media / "b").rmdir()
    (stored.media / "b").write_text("a file where a folder should be")
    (stored.media / "d/e/f.png").unlink()
    result = stored.run("restore", "--all", check=False)
    assert result.code == 1
    assert sorted(line.split(" ")[1] for line in result.stderr.splitlines()) == ["a.png", "b/c.png"]
    assert (stored.media / "d/e/f.png").exists()


def test_image_kept_elsewhere_is_told(stored: Perdura) -> None:
    stored.database.query(
        "UPDATE image_cache SET image_data = NULL, image_url = 's3://bucket/a.png' WHERE original_path = 'a.png'"
    )
    wipe(stored)
    result = stored.run("restore", "--all", check=False)
    assert result.code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("perdura: a.png ") and "s3://bucket/a.png" in line
    assert names(stored.media) == {"b/c.png", "d/e/f.png"}


def test_hottest_first(perdura: Perdura) -> None:
    """A file's change time is when it was put in its place. Neighbours come in groups of about a thousand, so quarters
    are compared, the first with the last above all."""
    count = 2400
    for n in range(count):
        picture(perdura.media / f"{n}.png", seed=n % 10)
    perdura.run("cache-all")
    wipe(perdura)
    # As 7 and 2400 share no factor, this is neither the order of path nor that of id.
    perdura.database.query(
        "UPDATE image_cache"
        " SET last_accessed = now() - interval '1 s' * mod(7 * split_part(original_path, '.', 1)::int, 2400)"
    )
    perdura.run("restore", "--all", "--parallelism", "1")
    quarters: list[list[int]] = [[], [], [], []]
    for path in names(perdura.media):
        coldness = int(path.removesuffix(".png")) * 7 % count
        quarters[coldness * 4 // count].append(os.stat(perdura.media / path).st_ctime_ns)
    assert [len(quarter) for quarter in quarters] == [count // 4] * 4
    assert max(quarters[0]) <= min(quarters[2]) and max(quarters[1]) <= min(quarters[3])
    assert max(quarters[0]) < max(quarters[3])


@pytest.mark.parametrize("parallelism", ["1", "3", "100"])
def test_parallelism(stored: Perdura, parallelism: str) -> None:
    before = fingerprint(stored.media)
    wipe(stored)
    assert restore(stored, "--all", "--parallelism", parallelism)["restored"] == 3
    assert fingerprint(stored.media) == before


def test_leftovers_of_a_killed_run_are_swept(stored: Perdura) -> None:
    place = stored.media / ".perdura/tmp.0123456789abcdef"
    place.mkdir(parents=True)
    (place / "lock").touch()
    (place / "1").write_bytes(b"half an im")
    (stored.media / "a.png").unlink()
    stored.run("restore", "--all")
    assert not (stored.media / ".perdura").exists()
