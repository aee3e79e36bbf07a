"""An app, or an attacker, that is at the folder while we are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import images
from conftest import Perdura, Served
from files import exchange, fingerprint, names, picture, sha256, write
from servers import wait_until

ROUNDS = 15


@contextmanager
def again_and_again(action: Callable[[], None]) -> Iterator[list[int]]:
    """A thread that does it until the block ends. Yields a list whose length is how often it was done."""
    done: list[int] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            action()
            done.append(1)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def stored(perdura: Perdura) -> dict[str, str]:
    """The sha256 of what PostgreSQL itself decodes."""
    return dict(
        perdura.database.query(
            "SELECT original_path, encode(sha256(decode(image_data, 'base64')), 'hex') FROM image_cache"
        )
    )


@contextmanager
def rows_held(perdura: Perdura, statement: str) -> Iterator[Callable[[], None]]:
    """A transaction of somebody else's that commits once the block is done and somebody waits for it. Yields how to wait
    for that."""
    assert perdura.database
    holder = perdura.database.server.connect(perdura.database.name, autocommit=False)
    holder.cursor().execute(statement)

    def wait() -> None:
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        wait_until(lambda: perdura.database.value(blocked, perdura.database.name) > 0, 60, "somebody at the lock")

    yield wait
    wait()
    holder.commit()
    holder.close()


def swap(folder: Path, link: Path) -> Callable[[], None]:
    """The folder is now itself, now a link to another."""

    def action() -> None:
        exchange(folder, link)
        exchange(folder, link)

    return action


def test_nothing_from_outside_is_stored_through_a_swapped_folder(perdura: Perdura) -> None:
    outside = perdura.folder / "outside"
    ours = set()
    for n in range(40):
        picture(outside / f"{n}.png", seed=("secret", n))
        ours.add(sha256(picture(perdura.media / f"uploads/{n}.png", seed=n)))
    link = perdura.media / "link"
    link.symlink_to(outside)
    with again_and_again(swap(perdura.media / "uploads", link)) as swaps:
        for _ in range(ROUNDS):
            perdura.run("cache-all", "--checksum", check=False)
            perdura.database.query("UPDATE image_cache SET source_mtime = '2000-01-01'")
    assert len(swaps) > ROUNDS
    assert set(stored(perdura).values()) <= ours
    perdura.run("cache-all", check=False)
    assert len(stored(perdura)) >= 40


def test_nothing_outside_is_written_through_a_swapped_folder(perdura: Perdura) -> None:
    outside = perdura.folder / "outside"
    for n in range(40):
        picture(perdura.media / f"uploads/{n}.png", seed=n)
    perdura.run("cache-all")
    outside.mkdir()
    link = perdura.media / "link"
    link.symlink_to(outside)
    with again_and_again(swap(perdura.media / "uploads", link)):
        for _ in range(ROUNDS):
            perdura.run("restore", "--all", "--force", check=False)
            assert names(outside) == set()
            for name in ("uploads", "link"):
                for n in range(40):
                    (perdura.media / name / f"{n}.png").unlink(missing_ok=True)
    perdura.run("restore", "--all")
    assert len(names(perdura.media / "uploads")) == 40 and names(outside) == set()


def test_file_that_is_rewritten_in_place_is_stored_whole(perdura: Perdura) -> None:
    """The writer takes the file's first bytes away before it changes anything and puts them there last, so that a file
    that it has not finished is no image: only bytes of two moments could pass for one."""
    versions = [images.sized("bmp", 4_000_000 + n * 100_000, n) for n in range(4)]
    path = write(perdura.media / "a.bmp", versions[0])
    turn = iter(range(1, 1 << 30))

    def rewrite() -> None:
        data = versions[next(turn) % len(versions)]
        with open(path, "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), bytes(16), 0)
            os.ftruncate(file.fileno(), len(data))
            os.pwrite(file.fileno(), data[16:], 16)
            os.pwrite(file.fileno(), data[:16], 0)

    whole = {sha256(data) for data in versions}
    with again_and_again(rewrite) as writes:
        for _ in range(ROUNDS):
            result = perdura.run("cache-all", check=False)
            assert result.code == 0 or result.stderr.startswith("perdura: a.bmp ")
            assert set(stored(perdura).values()) <= whole
    assert len(writes) > ROUNDS
    perdura.run("cache-all")
    assert stored(perdura) == {"a.bmp": sha256(path.read_bytes())}


def test_file_that_is_replaced_by_rename_is_stored_whole(perdura: Perdura) -> None:
    """The app writes as it should: every look finds one version or the other."""
    versions = [images.sized("png", 200_000, n) for n in range(4)]
    path = write(perdura.media / "a.png", versions[0])
    turn = iter(range(1, 1 << 30))

    def replace() -> None:
        write(perdura.folder / "new", versions[next(turn) % len(versions)])
        os.rename(perdura.folder / "new", path)

    whole = {sha256(data) for data in versions}
    with again_and_again(replace):
        for _ in range(ROUNDS):
            perdura.run("cache-all", check=False)
            assert set(stored(perdura).values()) <= whole
    perdura.run("cache-all")
    assert stored(perdura) == {"a.png": sha256(path.read_bytes())}


def test_restore_never_replaces_what_the_app_writes_meanwhile(perdura: Perdura) -> None:
    """The app makes files under the very names that are being restored: its own content must be what stays."""
    count = 300
    for n in range(count):
        picture(perdura.media / f"{n}.png", seed=n % 10)
    perdura.run("cache-all")
    for n in range(count):
        (perdura.media / f"{n}.png").unlink()
    mine = images.make("png", "the app's")
    restoring = perdura.start("restore", "--all", "--parallelism", "1")
    for n in range(count):  # written whole and moved into place, as an app should
        write(perdura.folder / "new", mine)
        os.rename(perdura.folder / "new", perdura.media / f"{n}.png")
    assert restoring.wait(60) in (0, 1)
    assert set(fingerprint(perdura.media)) == {f"{n}.png" for n in range(count)}
    assert {file.sha256 for file in fingerprint(perdura.media).values()} == {sha256(mine)}


def test_two_at_once_store_each_image_once(perdura: Perdura) -> None:
    for n in range(200):
        picture(perdura.media / f"{n}.png", seed=n)
    running = [perdura.start("cache-all") for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert perdura.run("status", "--json").json["images"] == 200
    assert perdura.database.value("SELECT count(*) FROM image_cache") == 200
    assert perdura.run("fsck", "--json").json["sound"] == 200


def test_two_restores_at_once(perdura: Perdura) -> None:
    for n in range(300):
        picture(perdura.media / f"{n % 7}/{n}.png", seed=n)
    before = fingerprint(perdura.media)
    perdura.run("cache-all")
    for path in before:
        (perdura.media / path).unlink()
    running = [perdura.start("restore", "--all") for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert fingerprint(perdura.media) == before


def test_row_changed_by_others_during_cache_all(perdura: Perdura) -> None:
    """Another writer holds the rows for a while: cache-all waits for it and the outcome is one of the two."""
    data = picture(perdura.media / "a.png", seed="disk")
    perdura.run("cache-all")
    data = picture(perdura.media / "a.png", seed="disk, later")
    with rows_held(perdura, "UPDATE image_cache SET access_count = access_count + 1"):
        waiting = perdura.start("cache-all")
    assert waiting.wait(60) == 0
    assert stored(perdura) == {"a.png": sha256(data)}


def test_row_that_goes_while_its_time_is_written(perdura: Perdura) -> None:
    """Nothing is stored then: cache-all says so, and the next one stores the file."""
    data = picture(perdura.media / "a.png", mtime_ns=10**18)
    picture(perdura.media / "b.png", mtime_ns=10**18)
    perdura.run("cache-all")
    for name in ("a.png", "b.png"):
        os.utime(perdura.media / name)
    with rows_held(perdura, "DELETE FROM image_cache WHERE original_path = 'a.png'"):
        waiting = perdura.start("cache-all", "--json", stdout=subprocess.PIPE)
    counts = json.loads(waiting.communicate(timeout=60)[0])
    assert waiting.returncode == 1 and (counts["unchanged"], counts["failed"]) == (1, 1)
    assert "a.png" in str(counts["errors"]) and "changed in the table meanwhile" in str(counts["errors"])
    assert perdura.run("cache-all", "--json").json["cached"] == 1
    assert stored(perdura)["a.png"] == sha256(data)


def test_row_that_goes_while_the_watcher_writes_its_time(perdura: Perdura, serve: Callable[..., Served]) -> None:
    served = serve()
    data = picture(perdura.media / "a.png")
    assert served.post("/image-cache/flush").status == 200
    with rows_held(perdura, "DELETE FROM image_cache"):
        picture(perdura.media / "a.png")
    wait_until(lambda: stored(perdura) == {"a.png": sha256(data)}, 120, "the watcher looks again")


def test_image_deleted_by_another_process_during_a_restore(perdura: Perdura) -> None:
    """It is listed as missing, deleted, and then fetched: its file must not come back."""
    data = images.sized("bmp", 2_000_000, 1)
    paths = [f"{n}.bmp" for n in range(24)]
    for path in paths:
        write(perdura.media / path, data)
    perdura.run("cache-all")
    missing: list[str] = []
    while not missing:  # else it was done before we looked
        for path in paths:
            (perdura.media / path).unlink(missing_ok=True)
        restoring = perdura.start("restore", "--all", "--parallelism", "1")
        wait_until(lambda: len(names(perdura.media)) > 1 or restoring.poll() is not None, 60, "files being restored")
        restoring.send_signal(signal.SIGSTOP)
        missing = [path for path in paths if not (perdura.media / path).exists()]
        if missing:
            perdura.run("rm", *missing)
        restoring.send_signal(signal.SIGCONT)
        assert restoring.wait(60) == 0
    assert names(perdura.media) == set(paths) - set(missing)
    assert perdura.run("status", "--json").json["images"] == len(paths) - len(missing)


def test_image_restored_by_another_process_while_it_is_deleted(perdura: Perdura) -> None:
    """Its deletion has seen no file, and waits for its row."""
    picture(perdura.media / "a.png")
    perdura.run("cache-all")
    (perdura.media / "a.png").unlink()
    with rows_held(perdura, "UPDATE image_cache SET access_count = access_count + 1") as wait:
        deleting = perdura.start("rm", "a.png")
        wait()
        perdura.run("restore", "--all")
        assert (perdura.media / "a.png").exists()
    assert deleting.wait(60) == 0
    assert names(perdura.media) == set()
