"""check compares the folder with the store, fsck the store with itself."""

from __future__ import annotations

import os

import images
import pytest
from conftest import Perdura
from files import fingerprint, names, picture, write

NOON_NS = 1_750_000_000_123_456_789


@pytest.fixture
def stored(perdura: Perdura) -> Perdura:
    for name in "abc":
        picture(perdura.media / f"{name}.png", seed=name, mtime_ns=NOON_NS)
    perdura.run("cache-all")
    return perdura


def marks(perdura: Perdura, *args: str) -> tuple[int, list[str]]:
    """The exit code, and of each line the mark and the path, sorted by path."""
    result = perdura.run("check", *args, check=False)
    lines = [line.split("  ")[0] for line in result.stdout.splitlines()]
    return result.code, sorted(lines, key=lambda line: line[2:])


def test_all_the_same(stored: Perdura) -> None:
    assert marks(stored) == (0, [])
    assert marks(stored, "--all") == (0, ["= a.png", "= b.png", "= c.png"])
    assert stored.run("check").stderr == "3 the same, 0 different, 0 not kept\n"


def test_marks(stored: Perdura) -> None:
    (stored.media / "a.png").unlink()
    picture(stored.media / "b.png", seed="other")
    picture(stored.media / "d/new.png")
    os.mkfifo(stored.media / "e.png")
    write(stored.media / "notes.txt", b"not ours")
    expected = ["- a.png", "* b.png", "+ d/new.png", "! e.png", ". notes.txt"]
    assert marks(stored) == (1, expected)
    assert marks(stored, "--all") == (1, expected[:2] + ["= c.png"] + expected[2:])
    assert stored.run("check", check=False).stderr == "1 the same, 4 different, 1 not kept\n"


def whys(perdura: Perdura, *args: str) -> dict[str, str]:
    return {file["path"]: file.get("why") or "" for file in perdura.run("check", "--json", *args, check=False).json["files"]}


def test_only_damage_is_called_damage(stored: Perdura) -> None:
    """Other content, older or newer, with the same size or another, was written by somebody."""
    media = stored.media
    data = {name: (media / f"{name}.png").read_bytes() for name in "abc"}
    write(media / "a.png", bytes(len(data["a"])), NOON_NS)  # under the stored time
    write(media / "b.png", data["b"][:-1] + b"x", NOON_NS - 10**9)
    write(media / "c.png", data["c"] + b"x", NOON_NS + 10**9)
    told = whys(stored)
    assert "is damaged" in told["a.png"]
    assert "damaged" not in told["b.png"] and "the stored content is newer" in told["b.png"]
    assert "damaged" not in told["c.png"] and "the file is newer" in told["c.png"]
    assert marks(stored) == (1, ["* a.png", "* b.png", "* c.png"])


def test_files_that_are_not_kept_are_no_difference(stored: Perdura) -> None:
    write(stored.media / "notes.txt", b"text")
    write(stored.media / "a/report.pdf", b"%PDF-1.7")
    assert marks(stored) == (0, [". a/report.pdf", ". notes.txt"])
    report = stored.run("check", "--json").json
    assert (report["same"], report["not_kept"]) == (3, 2)


def test_files_that_cannot_be_stored_have_their_reason(stored: Perdura) -> None:
    write(stored.media / "large.jpg", images.sized("jpeg", 6 << 20, 1))
    write(stored.media / "empty.png", b"")
    told = whys(stored)
    assert "PERDURA_LARGE_BUCKET" in told["large.jpg"] and "is empty" in told["empty.png"]
    assert marks(stored) == (1, ["! empty.png", "! large.jpg"])


def test_json_counts_and_names(stored: Perdura) -> None:
    (stored.media / "a.png").unlink()
    picture(stored.media / "new\nline.png")
    result = stored.run("check", "--json", check=False)
    assert result.code == 1
    report = result.json
    assert (report["same"], report["disk_only"], report["store_only"], report["differs"]) == (2, 1, 1, 0)
    assert sorted((file["mark"], file["path"]) for file in report["files"]) == [("+", "new\nline.png"), ("-", "a.png")]


def test_changes_nothing(stored: Perdura) -> None:
    (stored.media / "a.png").unlink()
    picture(stored.media / "b.png", seed="other")
    before, rows = fingerprint(stored.media), stored.database.rows_written()
    marks(stored)
    marks(stored, "--quick")
    assert fingerprint(stored.media) == before and stored.database.rows_written() == rows


def test_wiped_folder(stored: Perdura) -> None:
    for name in names(stored.media):
        (stored.media / name).unlink()
    stored.media.rmdir()
    assert marks(stored) == (1, ["- a.png", "- b.png", "- c.png"])


@pytest.mark.parametrize("in_the_way", ["folder", "file above"])
def test_something_else_in_the_place_of_a_file(stored: Perdura, in_the_way: str) -> None:
    path = "a.png" if in_the_way == "folder" else "b.png/a.png"
    stored.database.query("UPDATE image_cache SET original_path = %s WHERE original_path = 'a.png'", path)
    (stored.media / "a.png").unlink()
    if in_the_way == "folder":
        (stored.media / path).mkdir()
    assert marks(stored) == (1, [f"! {path}"])


def test_link_that_leads_out(stored: Perdura) -> None:
    (stored.media / "a.png").unlink()
    (stored.media / "a.png").symlink_to(picture_outside(stored))
    assert marks(stored) == (1, ["! a.png"])


def picture_outside(perdura: Perdura):
    picture(perdura.folder / "outside.png")
    return perdura.folder / "outside.png"


def test_quick_compares_size_and_time_only(stored: Perdura) -> None:
    size = (stored.media / "a.png").stat().st_size
    write(stored.media / "a.png", b"x" * size, NOON_NS)
    os.utime(stored.media / "b.png", ns=(0, NOON_NS + 1))
    assert marks(stored) == (1, ["* a.png"])
    assert marks(stored, "--quick") == (1, ["* b.png"])


def test_more_than_a_page(perdura: Perdura) -> None:
    perdura.database.query(
        "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256)"
        " SELECT 'p' || n, 'YWJj', 3, 'image/png', sha256('abc') FROM generate_series(10000, 12499) n"
    )
    picture(perdura.media / "q.png")
    assert marks(perdura) == (1, [f"- p{n}" for n in range(10000, 12500)] + ["+ q.png"])


# fsck

BREAK_BASE64 = "UPDATE image_cache SET image_data = overlay(image_data placing '*' from 11) WHERE original_path = %s"
BREAK_BYTES = "UPDATE image_cache SET image_data = overlay(image_data placing 'AAAA' from 101) WHERE original_path = %s"
BREAK_SHA256 = "UPDATE image_cache SET sha256 = sha256('something else') WHERE original_path = %s"
BREAK_SIZE = "UPDATE image_cache SET file_size = file_size - 1 WHERE original_path = %s"  # the base64 is as long
BREAKS = {"base64": BREAK_BASE64, "bytes": BREAK_BYTES, "sha256": BREAK_SHA256, "size": BREAK_SIZE}


@pytest.fixture
def damageable(perdura: Perdura) -> Perdura:
    """Three images whose size is such that the base64 of one byte less is as long."""
    for name in "abc":
        write(perdura.media / f"{name}.png", images.sized("png", 6000, name), NOON_NS)
    perdura.run("cache-all")
    return perdura


def test_fsck_of_sound_rows(damageable: Perdura) -> None:
    damageable.run("rm", "c.png")
    result = damageable.run("fsck")
    assert result.stdout == "3 sound, 0 kept elsewhere, 0 damaged\n"
    assert damageable.run("fsck", "--json").json["sound"] == 3


@pytest.mark.parametrize("damage", BREAKS.values(), ids=BREAKS.keys())
def test_damaged_row_is_named_refused_and_mended(damageable: Perdura, damage: str) -> None:
    damageable.database.query(damage, "b.png")

    result = damageable.run("fsck", check=False)
    assert result.code == 1
    assert result.stdout == "2 sound, 0 kept elsewhere, 1 damaged\n"
    (line,) = result.stderr.splitlines()
    assert line.startswith("perdura: b.png ") and "row" in line
    report = damageable.run("fsck", "--json", check=False).json
    assert (report["sound"], report["damaged"]) == (2, 1)
    assert [error["path"] for error in report["errors"]] == ["b.png"]

    for name in "abc":
        (damageable.media / f"{name}.png").unlink()
    result = damageable.run("restore", "--all", check=False)
    assert result.code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("perdura: b.png ")
    assert names(damageable.media) == {"a.png", "c.png"}

    for args in (("restore", "b.png"), ("get", "b.png"), ("get", "b.png", "--output", "copy.png")):
        result = damageable.run(*args, check=False)
        assert result.code == 1 and "b.png" in result.stderr
        assert b"PNG" not in result.stdout_bytes
        assert names(damageable.folder) == {"media/a.png", "media/c.png"}

    write(damageable.folder / "intact.png", images.sized("png", 6000, "b"))
    assert damageable.run("put", "intact.png", "b.png", "--json").json["result"] == "replaced"
    assert damageable.run("fsck").stdout == "3 sound, 0 kept elsewhere, 0 damaged\n"
    assert (damageable.media / "b.png").read_bytes() == images.sized("png", 6000, "b")


def test_damage_in_the_trash_is_found_too(damageable: Perdura) -> None:
    damageable.run("rm", "b.png")
    damageable.database.query(BREAK_BYTES, "b.png")
    result = damageable.run("fsck", check=False)
    assert result.code == 1 and result.stderr.startswith("perdura: b.png ")


def test_fsck_passes_over_what_is_kept_elsewhere(damageable: Perdura) -> None:
    damageable.database.query(
        "UPDATE image_cache SET image_data = NULL, image_url = 's3://bucket/a.png' WHERE original_path = 'a.png'"
    )
    assert damageable.run("fsck").stdout == "2 sound, 1 kept elsewhere, 0 damaged\n"


def test_fsck_of_many(perdura: Perdura) -> None:
    """More than a page and many batches: each looked at once."""
    perdura.database.query(
        "INSERT INTO image_cache (original_path, image_data, file_size, content_type_header, sha256)"
        " SELECT 'p' || n, 'YWJj', 3, 'image/png', sha256('abc') FROM generate_series(1, 2500) n"
    )
    perdura.database.query(BREAK_SHA256, "p2500")
    result = perdura.run("fsck", check=False)
    assert result.stdout == "2,499 sound, 0 kept elsewhere, 1 damaged\n"
