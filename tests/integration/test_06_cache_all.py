"""cache-all: what it stores, what it leaves alone, and who wins when both sides changed."""

from __future__ import annotations

import os

import images
import pytest
from conftest import Perdura
from files import names, picture, sha256, write

DAY_NS = 86_400 * 10**9
NOON_NS = 1_750_000_000_123_456_789


def stored_sha256(perdura: Perdura, path: str) -> str:
    return perdura.run("info", path, "--json").json["sha256"]


def cache_all(perdura: Perdura, *args: str, **run) -> dict:
    return perdura.run("cache-all", "--json", *args, **run).json


def test_stores_every_image_and_says_so(perdura: Perdura) -> None:
    total = sum(len(picture(perdura.media / path, seed=path)) for path in ("a.png", "b/c.png", "b/d/e.png"))
    report = cache_all(perdura)
    assert (report["cached"], report["unchanged"], report["failed"], report["bytes"]) == (3, 0, 0, total)
    assert report["errors"] == []
    assert [image["original_path"] for image in perdura.run("list", "--json").json] == ["a.png", "b/c.png", "b/d/e.png"]


def test_says_it_in_words(perdura: Perdura) -> None:
    size = len(picture(perdura.media / "a.png"))
    write(perdura.media / "notes.txt", b"not ours")
    first = perdura.run("cache-all")
    assert first.stdout.startswith(f"cached 1 images ({size / 1024:.1f} KiB) in ")
    assert first.stdout.endswith(", 0 unchanged, 1 not images, 0 failed\n")
    assert first.stderr == ""
    assert ", 1 unchanged, " in perdura.run("cache-all").stdout


def test_second_run_writes_no_row(perdura: Perdura) -> None:
    for n in range(20):
        picture(perdura.media / f"{n}.png", seed=n)
    cache_all(perdura)
    before = perdura.database.rows_written()
    assert before["image_cache"] == (20, 0, 0)
    report = cache_all(perdura)
    assert (report["cached"], report["unchanged"]) == (0, 20)
    assert perdura.database.rows_written() == before


def test_dry_run_changes_nothing(perdura: Perdura) -> None:
    picture(perdura.media / "a.png", mtime_ns=NOON_NS)
    picture(perdura.media / "b.png")
    cache_all(perdura)
    os.utime(perdura.media / "a.png", ns=(0, NOON_NS + 1))
    picture(perdura.media / "b.png", seed=2)
    picture(perdura.media / "c.png")
    before = perdura.database.rows_written()
    report = cache_all(perdura, "--dry-run")
    assert (report["cached"], report["unchanged"], report["dry_run"]) == (2, 1, True)
    assert report["bytes"] == sum((perdura.media / name).stat().st_size for name in ("b.png", "c.png"))
    assert perdura.database.rows_written() == before
    assert perdura.run("cache-all", "--dry-run").stdout.startswith("would cache 2 images")


def test_changed_file_replaces_what_is_stored(perdura: Perdura) -> None:
    picture(perdura.media / "a.png", seed=1)
    cache_all(perdura)
    data = picture(perdura.media / "a.png", seed=2)
    assert cache_all(perdura)["cached"] == 1
    assert stored_sha256(perdura, "a.png") == sha256(data)
    assert perdura.database.value("SELECT count(*) FROM image_cache") == 1


def test_new_time_alone_rewrites_no_bytes(perdura: Perdura) -> None:
    write(perdura.media / "a.png", images.sized("png", 100_000, 1), NOON_NS)
    cache_all(perdura)
    changed_xid = perdura.database.value("SELECT changed_xid::text FROM image_cache")
    before = perdura.database.rows_written()
    assert before["image_cache toast"][0] > 0
    os.utime(perdura.media / "a.png", ns=(0, NOON_NS + DAY_NS + 1))
    report = cache_all(perdura)
    assert (report["cached"], report["unchanged"]) == (0, 1)
    after = perdura.database.rows_written()
    assert after["image_cache"] == (1, 1, 0)
    assert after["image_cache toast"] == before["image_cache toast"]
    assert perdura.run("info", "a.png", "--json").json["source_mtime_ns"] == NOON_NS + DAY_NS + 1
    assert perdura.database.value("SELECT changed_xid::text FROM image_cache") == changed_xid


@pytest.mark.parametrize("mtime_ns", [0, 1, 999, -1, -1_000_000_001, 10**9 * 4_000_000_000 + 7])
def test_times_are_kept_to_the_nanosecond(perdura: Perdura, mtime_ns: int) -> None:
    """Before 1970 and far ahead, too."""
    picture(perdura.media / "a.png", mtime_ns=mtime_ns)
    if (perdura.media / "a.png").stat().st_mtime_ns != mtime_ns:
        pytest.skip("this filesystem does not keep such a time")
    cache_all(perdura)
    assert cache_all(perdura)["unchanged"] == 1
    assert perdura.run("info", "a.png", "--json").json["source_mtime_ns"] == mtime_ns
    (perdura.media / "a.png").unlink()
    perdura.run("restore", "--all")
    assert (perdura.media / "a.png").stat().st_mtime_ns == mtime_ns


def swap_unnoticed(perdura: Perdura) -> bytes:
    """Other bytes of the same size under the same time."""
    first, second = images.sized("png", 5000, 1), images.sized("png", 5000, 2)
    write(perdura.media / "a.png", first, NOON_NS)
    cache_all(perdura)
    write(perdura.media / "a.png", second, NOON_NS)
    return second


def test_checksum_finds_a_change_that_size_and_time_hide(perdura: Perdura) -> None:
    second = swap_unnoticed(perdura)
    assert cache_all(perdura)["unchanged"] == 1
    assert cache_all(perdura, "--checksum")["cached"] == 1
    assert stored_sha256(perdura, "a.png") == sha256(second)
    report = cache_all(perdura, "--checksum")
    assert (report["cached"], report["unchanged"]) == (0, 1)


def conflict(perdura: Perdura, file_is: str) -> tuple[bytes, bytes]:
    """A stored image of noon, and another file under its name, a day older or newer."""
    stored = picture(perdura.media / "a.png", seed="stored", mtime_ns=NOON_NS)
    cache_all(perdura)
    on_disk = picture(
        perdura.media / "a.png", seed="disk", mtime_ns=NOON_NS + (DAY_NS if file_is == "newer" else -DAY_NS)
    )
    return stored, on_disk


@pytest.mark.parametrize(
    "setting, file_is, winner",
    [
        ("newest", "newer", "disk"),
        ("newest", "older", "store"),
        ("disk", "newer", "disk"),
        ("disk", "older", "disk"),
        ("store", "newer", "store"),
        ("store", "older", "store"),
    ],
)
def test_conflict(perdura: Perdura, setting: str, file_is: str, winner: str) -> None:
    stored, on_disk = conflict(perdura, file_is)
    report = cache_all(perdura, env={"PERDURA_CONFLICT": setting})
    won = report["cached"], report["older"]
    assert won == ((1, 0) if winner == "disk" else (0, 1))
    assert stored_sha256(perdura, "a.png") == sha256(on_disk if winner == "disk" else stored)
    assert (perdura.media / "a.png").read_bytes() == on_disk


@pytest.mark.parametrize("setting, file_is", [("newest", "older"), ("store", "newer")])
def test_file_that_loses_is_named_with_the_reason(perdura: Perdura, setting: str, file_is: str) -> None:
    conflict(perdura, file_is)
    result = perdura.run("cache-all", env={"PERDURA_CONFLICT": setting})
    (line,) = result.stderr.splitlines()
    assert line.startswith("perdura: a.png ") and "what is stored" in line and "PERDURA_CONFLICT" in line
    assert ("older" in line) == (file_is == "older")


def test_what_is_no_image_and_not_called_one_is_passed_over(perdura: Perdura) -> None:
    write(perdura.media / "notes.txt", b"hello\n")
    write(perdura.media / "README", b"")
    write(perdura.media / ".gitkeep", b"")
    report = cache_all(perdura)
    assert (report["ignored"], report["failed"], report["cached"]) == (3, 0, 0)


def test_image_under_any_name_is_stored(perdura: Perdura) -> None:
    for name in ("upload", "photo.dat", ".hidden.png"):
        picture(perdura.media / name)
    assert cache_all(perdura)["cached"] == 3


def test_own_temporary_folder_is_not_media(perdura: Perdura) -> None:
    picture(perdura.media / ".perdura/tmp.0000000000000000/1")
    picture(perdura.media / "sub/.perdura/a.png")
    assert cache_all(perdura)["cached"] == 1
    assert [image["original_path"] for image in perdura.run("list", "--json").json] == ["sub/.perdura/a.png"]


def test_vanished_file_keeps_its_row(perdura: Perdura) -> None:
    """A wiped disk is not a deletion."""
    picture(perdura.media / "a.png")
    cache_all(perdura)
    (perdura.media / "a.png").unlink()
    report = cache_all(perdura)
    assert (report["cached"], report["unchanged"], report["failed"]) == (0, 0, 0)
    assert perdura.run("status", "--json").json["images"] == 1


def test_missing_media_folder_is_told(perdura: Perdura) -> None:
    perdura.media.rmdir()
    result = perdura.run("cache-all", check=False)
    assert result.code == 1
    (line,) = result.stderr.splitlines()
    assert str(perdura.media) in line and "PERDURA_MEDIA_ROOT" in line
    assert str(perdura.media) in perdura.run("cache-all", "--json", check=False).json["failure"]
    assert not perdura.media.exists()


def test_media_folder_may_be_a_link(perdura: Perdura) -> None:
    """As deploy tools make them, to a folder that outlives the release."""
    perdura.media.rmdir()
    picture(perdura.folder / "shared/media/a.png")
    perdura.media.symlink_to("shared/media")
    assert cache_all(perdura)["cached"] == 1
    (perdura.media / "a.png").unlink()
    perdura.run("restore", "--all")
    assert names(perdura.folder / "shared") == {"media/a.png"} and perdura.media.is_symlink()


def test_links_within_the_folder_are_followed_to_files(perdura: Perdura) -> None:
    data = picture(perdura.media / "2026/me.png")
    (perdura.media / "latest.png").symlink_to("2026/me.png")
    (perdura.media / "year").symlink_to("2026")
    report = cache_all(perdura)
    assert (report["cached"], report["failed"]) == (2, 0)
    assert [image["original_path"] for image in perdura.run("list", "--json").json] == ["2026/me.png", "latest.png"]
    assert stored_sha256(perdura, "latest.png") == sha256(data)
    assert cache_all(perdura)["unchanged"] == 2


def test_job_is_in_the_history_unless_nothing_happened(perdura: Perdura) -> None:
    picture(perdura.media / "a.png")
    cache_all(perdura)
    cache_all(perdura)
    assert perdura.database.query("SELECT kind, state, result->>'cached' FROM job_run") == [("cache-all", "done", "1")]
    (job,) = perdura.run("status", "--json").json["jobs"]
    assert (job["kind"], job["state"], job["result"]["cached"]) == ("cache-all", "done", 1)


def test_status_counts(perdura: Perdura) -> None:
    total = sum(len(picture(perdura.media / f"{n}.png", seed=n)) for n in range(3))
    cache_all(perdura)
    status = perdura.run("status", "--json").json
    assert (status["images"], status["bytes"], status["trash_images"]) == (3, total, 0)
    text = perdura.run("status").stdout
    assert "persisted  3 images" in text and "last cache-all" in text


def test_leaves_the_folder_as_it_was(perdura: Perdura) -> None:
    picture(perdura.media / "a.png")
    cache_all(perdura)
    assert names(perdura.media) == {"a.png"}
    assert os.listdir(perdura.media) == ["a.png"]
