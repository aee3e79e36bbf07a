"""A disk that is full or can't be written."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import images
import pytest
from conftest import Perdura, Served
from files import MIB, fingerprint, give, names, picture, someone_unprivileged, write
from servers import wait_until


@pytest.fixture
def small_disk(perdura: Perdura) -> Iterator[Path]:
    """A filesystem of 2 MiB."""
    folder = perdura.folder / "small"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=755", "tmpfs", folder], capture_output=True, text=True
    )
    if mount.returncode != 0:
        pytest.skip(f"no filesystem can be mounted here: {mount.stderr.splitlines()[0]}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def store(perdura: Perdura, count: int, size: int) -> dict:
    for n in range(count):
        write(perdura.media / f"{n:02}.png", images.sized("png", size, n))
    perdura.run("cache-all")
    return fingerprint(perdura.media)


def test_restore_onto_a_full_disk_tells_and_leaves_whole_files_only(perdura: Perdura, small_disk: Path) -> None:
    before = store(perdura, count=30, size=200_000)
    perdura.database.query(  # the higher the number, the hotter
        "UPDATE image_cache SET last_accessed = now() - (30 - left(original_path, 2)::int) * interval '1 day'"
    )
    (small_disk / "kept.txt").write_text("the app's")
    perdura.env["PERDURA_MEDIA_ROOT"] = str(small_disk)
    result = perdura.run("restore", "--all", "--parallelism", "1", check=False)
    assert result.code == 1
    assert "No space left on device" in result.stderr and "free some space" in result.stderr
    assert len(result.stderr.splitlines()) <= 5  # not one for each of the others

    found = fingerprint(small_disk)
    del found["kept.txt"]
    assert found.items() <= before.items()
    # What fits is there, and it is the hottest.
    assert 5 <= len(found) <= 10
    assert set(found) == {f"{n:02}.png" for n in range(30 - len(found), 30)}
    assert os.listdir(small_disk).count(".perdura") == 0


def test_restore_goes_on_when_there_is_room_again(perdura: Perdura, small_disk: Path) -> None:
    before = store(perdura, count=8, size=200_000)
    filler = write(small_disk / "filler", bytes(MIB))
    perdura.env["PERDURA_MEDIA_ROOT"] = str(small_disk)
    assert perdura.run("restore", "--all", check=False).code == 1
    filler.unlink()
    perdura.run("restore", "--all")
    assert fingerprint(small_disk) == before


def test_full_disk_keeps_neither_put_nor_get_from_their_work(perdura: Perdura, small_disk: Path) -> None:
    """The row is what counts; the file follows later."""
    data = images.sized("png", 500_000, 1)
    write(perdura.folder / "new.png", data)
    filler = write(small_disk / "filler", bytes(2 * MIB - 100_000))
    perdura.env["PERDURA_MEDIA_ROOT"] = str(small_disk)
    perdura.run("put", "new.png")
    assert perdura.run("get", "new.png").stdout_bytes == data
    assert names(small_disk) == {"filler"}
    filler.unlink()
    assert perdura.run("get", "new.png").stdout_bytes == data
    assert (small_disk / "new.png").read_bytes() == data


def test_rm_makes_room_on_a_full_disk(perdura: Perdura, small_disk: Path) -> None:
    """No block is left, and no inode for a file in between."""
    perdura.env["PERDURA_MEDIA_ROOT"] = str(small_disk)
    picture(small_disk / "a.png")
    perdura.run("cache-all")
    subprocess.run(["mount", "-o", "remount,nr_inodes=20", small_disk], check=True)
    with pytest.raises(OSError, match="No space left"):
        for n in range(20):
            (small_disk / f"filler-{n}").touch()
    perdura.run("rm", "a.png")
    assert not (small_disk / "a.png").exists()


def test_full_disk_does_not_serve_what_was_replaced(perdura: Perdura, small_disk: Path) -> None:
    """Nobody has heard of the change by notification when the answer comes: with two connections it is asked for."""
    served = Served(perdura, {"PERDURA_MEDIA_ROOT": str(small_disk), "PERDURA_DB_POOL": "2"})
    old, new = images.sized("png", 300_000, 1), images.sized("png", 300_000, 2)
    assert served.put("/media/a.png", old).status == 201
    filler = write(small_disk / "filler", bytes(2 * MIB - 450_000))
    assert served.put("/media/a.png", new).status == 200
    assert served.get("/media/a.png").body == new
    filler.unlink()
    wait_until(lambda: (small_disk / "a.png").read_bytes() == new, 60, "the new file")
    assert served.get("/media/a.png").body == new
    served.stop()


def test_failed_put_over_an_old_file_does_not_lose_it(perdura: Perdura, small_disk: Path) -> None:
    perdura.env["PERDURA_MEDIA_ROOT"] = str(small_disk)
    old = images.sized("png", 500_000, "old")
    write(small_disk / "a.png", old)
    perdura.run("cache-all")
    write(small_disk / "filler", bytes(2 * MIB - 600_000))
    write(perdura.folder / "a.png", images.sized("png", 500_000, "new"))
    perdura.run("put", "a.png")
    assert (small_disk / "a.png").read_bytes() == old
    assert names(small_disk) == {"a.png", "filler"}
    # The row is newer now: what restore does next is to put it there.
    (small_disk / "filler").unlink()
    perdura.run("restore", "--all")
    assert (small_disk / "a.png").read_bytes() == images.sized("png", 500_000, "new")


@pytest.fixture
def read_only(perdura: Perdura) -> Iterator[Perdura]:
    """Two images stored, one of them on disk, in folders that can't be written."""
    for path in ("a.png", "sub/b.png"):
        picture(perdura.media / path, seed=path)
    perdura.run("cache-all")
    (perdura.media / "a.png").unlink()
    for folder in (perdura.media / "sub", perdura.media):
        folder.chmod(0o555)
        give(folder)
    yield perdura
    for folder in (perdura.media, perdura.media / "sub"):
        folder.chmod(0o755)


def test_restore_into_a_read_only_folder_is_told(read_only: Perdura) -> None:
    result = read_only.run("restore", "--all", check=False, **someone_unprivileged())
    assert result.code == 1
    (line,) = result.stderr.splitlines()
    assert "a.png" in line and "Permission denied" in line and "give the user" in line
    assert names(read_only.media) == {"sub/b.png"}


def test_reading_needs_no_right_to_write(read_only: Perdura) -> None:
    user = someone_unprivileged()
    assert read_only.run("cache-all", "--json", **user).json["unchanged"] == 1
    assert read_only.run("check", check=False, **user).stdout == "- a.png\n"
    assert read_only.run("get", "a.png", **user).stdout_bytes == images.make("png", "a.png")


def test_rm_in_a_read_only_folder_is_told(read_only: Perdura) -> None:
    result = read_only.run("rm", "sub/b.png", check=False, **someone_unprivileged())
    assert result.code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("perdura: sub/b.png ") and "Permission denied" in line
    assert (read_only.media / "sub/b.png").exists()


def test_missing_root_that_can_not_be_made_is_told(perdura: Perdura) -> None:
    store(perdura, count=1, size=1000)
    shutil.rmtree(perdura.media)
    perdura.folder.chmod(0o555)
    give(perdura.folder)
    result = perdura.run("restore", "--all", check=False, **someone_unprivileged())
    perdura.folder.chmod(0o755)
    assert result.code == 1
    assert str(perdura.media) in result.stderr and "Permission denied" in result.stderr


def test_root_that_is_a_file_is_told(perdura: Perdura) -> None:
    store(perdura, count=1, size=1000)
    shutil.rmtree(perdura.media)
    perdura.media.write_text("a file")
    for args in (("restore", "--all"), ("cache-all",), ("check",)):
        result = perdura.run(*args, check=False)
        assert result.code == 1
        assert str(perdura.media) in result.stderr and "PERDURA_MEDIA_ROOT" in result.stderr
