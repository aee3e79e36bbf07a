"""The watcher of `perdura serve`: every file that another program writes is persisted, whatever happens meanwhile.

WATCH_FILES (2000) is the number of files of the large tests; the requirement is 20000.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import images
import pytest
from conftest import Perdura, thread_names
from files import names, picture, sha256, write
from http_client import TOKEN, HttpClient
from servers import frozen, wait_until

FILES = int(os.environ.get("WATCH_FILES", "2000"))
SOON_S = 60
STATEMENT_S = 60  # what a statement that is under way is given, however the server behaves
LONG_S = 60 + FILES / 50
KERNEL = Path("/proc/sys/fs/inotify")
WATCHES = "/proc/sys/user/max_inotify_watches"  # of this user namespace


class Served:
    """`perdura serve` with its log."""

    def __init__(self, perdura: Perdura, **env: str) -> None:
        self.perdura = perdura
        self.log_file = perdura.folder / "serve.log"
        before = len(self.log)
        settings = {"PERDURA_PORT": "0", "PERDURA_API_TOKEN": TOKEN, **env}
        with self.log_file.open("ab") as log:
            self.process = perdura.start("serve", env=settings, stderr=log, stdout=log)
        wait_until(lambda: "listening url=http://" in self.log[before:] or self.process.poll() is not None, SOON_S, "start")
        assert self.process.poll() is None, self.log
        found = re.search(r"listening url=http://127\.0\.0\.1:(\d+)", self.log[before:])
        assert found
        self.http = HttpClient("127.0.0.1", int(found[1]))

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def says(self, text: str, timeout_s: float = SOON_S) -> None:
        wait_until(lambda: text in self.log, timeout_s, f"{text!r} in the log")

    def settled(self) -> Served:
        """What it does at its start is over: it puts back no file that a test removes."""
        self.says('event="files restored"')
        wait_until(lambda: "prepare" not in thread_names(self.process.pid), SOON_S, "the end of the start")
        return self

    def flush(self) -> None:
        """Whatever happened in the folder so far is known and dealt with."""
        answer = self.http.post("/image-cache/flush")
        assert answer.status in (200, 409), answer

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture
def serve(perdura: Perdura) -> Iterator[Callable[..., Served]]:
    served: list[Served] = []

    def start(**env: str) -> Served:
        served.append(Served(perdura, **env))
        return served[-1]

    yield start
    for server in served:
        assert server.process.poll() in (None, 0, 75), server.log
        if server.process.poll() is None:
            assert server.stop() in (0, 75), server.log  # 75: the test left a file that can't be stored
        assert "Sanitizer" not in server.log, server.log


def stored(perdura: Perdura) -> dict[str, str]:
    """Path and sha256 of everything that is live."""
    rows = perdura.database.query(
        "SELECT original_path, encode(sha256, 'hex') FROM image_cache WHERE deleted_at IS NULL"
    )
    return dict(rows)


def on_disk(perdura: Perdura) -> dict[str, str]:
    return {
        name: sha256((perdura.media / name).read_bytes())
        for name in names(perdura.media)
        if not name.startswith(".perdura/")
    }


def wait_for_all(perdura: Perdura, timeout_s: float = SOON_S) -> None:
    """Until what is stored under the paths on disk is what the disk holds."""
    wanted = on_disk(perdura)
    count = f"SELECT count(*) >= {len(wanted)} FROM image_cache WHERE deleted_at IS NULL"

    def missing() -> list[str]:
        have = stored(perdura)
        return [path for path, digest in wanted.items() if have.get(path) != digest]

    try:
        wait_until(lambda: perdura.database.value(count) and not missing(), timeout_s, "all files in the database")
    except TimeoutError:
        left = missing()
        pytest.fail(f"{len(left)} of {len(wanted)} files are not stored: {sorted(left)[:5]}")


def writes(perdura: Perdura) -> tuple[int, ...]:
    """Differs when any row was written in between."""
    return perdura.database.query("SELECT count(*), coalesce(sum(xmin::text::bigint), 0) FROM image_cache")[0]


def with_watches(perdura: Perdura, count: int) -> None:
    """It has so many from now on, in a user namespace of its own."""
    unshare = "unshare --user --map-root-user"
    if subprocess.run([*unshare.split(), "test", "-w", WATCHES], capture_output=True).returncode != 0:
        pytest.skip("no user namespaces here")
    limited = perdura.folder / "limited"
    limited.write_text(
        f'#!/bin/sh\nexec {unshare} sh -c \'echo {count} > {WATCHES} && exec setpriv --pdeathsig KILL "$@"\''
        f' sh "{perdura.binary}" "$@"\n'
    )
    limited.chmod(0o755)
    perdura.binary = limited


def test_an_upload_is_persisted_at_once(perdura: Perdura, serve: Callable[..., Served]) -> None:
    serve()
    data = images.sized("jpeg", 100_000, 1)
    write(perdura.media / "avatars/7/me.jpg", data)
    wait_until(lambda: stored(perdura) == {"avatars/7/me.jpg": sha256(data)}, SOON_S, "the row")
    again = picture(perdura.media / "avatars/7/me.jpg", seed=2)
    wait_until(lambda: stored(perdura) == {"avatars/7/me.jpg": sha256(again)}, SOON_S, "the new row")


def test_what_was_there_before_is_found(perdura: Perdura, serve: Callable[..., Served]) -> None:
    for n in range(50):
        picture(perdura.media / f"{n % 5}/{n}.png", seed=n)
    serve()
    wait_for_all(perdura)


def test_unchanged_files_are_not_written(perdura: Perdura, serve: Callable[..., Served]) -> None:
    """Neither what cache-all stored, nor what restore puts back under the watcher's eyes."""
    for n in range(50):
        picture(perdura.media / f"a/{n}.png", seed=n)
    perdura.run("cache-all")
    before = writes(perdura)
    served = serve()
    served.flush()
    shutil.rmtree(perdura.media / "a")
    perdura.run("restore", "--all")
    assert len(on_disk(perdura)) == 50
    served.flush()
    assert writes(perdura) == before


def test_rename_writers_leave_only_the_last_name(perdura: Perdura, serve: Callable[..., Served]) -> None:
    served = serve()
    for n in range(200):
        temporary = perdura.media / f".{n}.tmp"
        picture(temporary, seed=n)
        temporary.rename(perdura.media / f"{n}.png")
    wait_for_all(perdura)
    served.flush()
    assert set(stored(perdura)) == {f"{n}.png" for n in range(200)}


def test_links_are_persisted(perdura: Perdura, serve: Callable[..., Served]) -> None:
    serve()
    data = picture(perdura.media / "a.png")
    os.link(perdura.media / "a.png", perdura.media / "hard.png")
    (perdura.media / "soft.png").symlink_to("a.png")
    want = {name: sha256(data) for name in ("a.png", "hard.png", "soft.png")}
    wait_until(lambda: stored(perdura) == want, SOON_S, "all three")


def test_files_that_get_their_name_last_are_persisted(perdura: Perdura, serve: Callable[..., Served]) -> None:
    """No close of them is told: one is opened without a name, the other one loses its first name at once."""
    serve()
    data = images.sized("png", 50_000, 1)
    fd = os.open(perdura.media, os.O_TMPFILE | os.O_WRONLY)
    os.write(fd, data)
    os.link(f"/proc/self/fd/{fd}", perdura.media / "unnamed.png", src_dir_fd=fd)  # so that the link is followed
    os.close(fd)
    write(perdura.folder / "elsewhere", data)
    os.link(perdura.folder / "elsewhere", perdura.media / "linked.png")
    (perdura.folder / "elsewhere").unlink()
    wait_for_all(perdura)


def make_tree(perdura: Perdura, count: int) -> None:
    """As fast as a shell can, in folders that are new."""
    picture(perdura.folder / "seed.png")
    script = """
        i=0
        while [ $i -lt $2 ]; do
            d=$3/$((i % 7))/$((i % 49))/$((i / 50))
            mkdir -p $d
            cp --no-preserve=timestamps "$1" $d/$i-{0,1,2,3,4,5,6,7,8,9}.png
            i=$((i + 10))
        done
    """
    # cp with several targets is no such thing: one `tee` writes ten files.
    script = script.replace('cp --no-preserve=timestamps "$1"', 'tee < "$1" > /dev/null')
    subprocess.run(
        ["bash", "-c", script, "bash", perdura.folder / "seed.png", str(count), perdura.media / "t"], check=True
    )


def test_many_files_in_new_nested_folders(perdura: Perdura, serve: Callable[..., Served]) -> None:
    serve()
    make_tree(perdura, FILES)
    assert len(on_disk(perdura)) == FILES
    wait_for_all(perdura, LONG_S)


def test_trees_moved_in_and_out(perdura: Perdura, serve: Callable[..., Served]) -> None:
    served = serve()
    outside = perdura.folder / "outside"
    for n in range(300):
        picture(outside / f"{n % 3}/{n % 10}/{n}.png", seed=n)
    outside.rename(perdura.media / "in")
    wait_for_all(perdura)
    (perdura.media / "in").rename(perdura.media / "other")
    picture(perdura.media / "other/0/0/new.png", seed="new")
    wait_for_all(perdura)
    (perdura.media / "other/1").rename(outside)
    count = perdura.database.value("SELECT count(*) FROM image_cache")
    picture(outside / "1/unseen.png", seed="unseen")
    picture(perdura.media / "other/2/2/seen.png", seed="seen")
    wait_for_all(perdura)
    outside.rename(perdura.media / "back")
    wait_for_all(perdura)
    picture(perdura.media / "back/1/last.png", seed="last")
    wait_for_all(perdura)
    assert perdura.database.value("SELECT count(*) FROM image_cache WHERE deleted_at IS NOT NULL") == 0
    assert perdura.database.value("SELECT count(*) FROM image_cache") > count
    assert served.process.poll() is None


def test_lost_events_are_made_up_for(perdura: Perdura, serve: Callable[..., Served]) -> None:
    room = int((KERNEL / "max_queued_events").read_text())
    if room > 100_000:
        pytest.skip(f"the kernel keeps {room} events")
    served = serve()
    make_tree(perdura, FILES)
    names = [perdura.media / name for name in ("a.txt", "b.txt")]
    with frozen(served.process):
        names[0].touch()
        for n in range(room):  # two events each
            names[n % 2].rename(names[1 - n % 2])
        for name in names:
            name.unlink(missing_ok=True)
        for n in range(100):
            picture(perdura.media / f"{n}.png", seed=n)  # the queue is full
    wait_for_all(perdura, LONG_S)
    served.says("inotify events lost")


def test_without_watches_left_it_polls(perdura: Perdura, serve: Callable[..., Served]) -> None:
    for n in range(30):
        (perdura.media / f"{n}").mkdir()
    with_watches(perdura, 10)
    served = serve()
    served.says("max_user_watches")
    for n in range(30):
        picture(perdura.media / f"{n}/a.png", seed=n)
    wait_for_all(perdura)
    for n in range(30):
        picture(perdura.media / f"{n}/new/a.png", seed=n)
    wait_for_all(perdura)
    raise_limit = ["nsenter", "--user", "--preserve-credentials", "-t", str(served.process.pid)]
    subprocess.run([*raise_limit, "sh", "-c", f"echo 10000 > {WATCHES}"], check=True)
    served.says("inotify available again")


def test_the_database_goes_and_comes_back(perdura: Perdura, serve: Callable[..., Served]) -> None:
    served = serve()
    picture(perdura.media / "before.png", seed="before")
    wait_for_all(perdura)
    perdura.database.server.stop()
    for n in range(100):
        picture(perdura.media / f"{n}.png", seed=n)
    served.says("database does not accept files")
    perdura.database.server.start()
    wait_for_all(perdura)
    served.says("database accepts files again")
    served.says("files that waited are stored")


def test_started_without_a_database(perdura: Perdura, serve: Callable[..., Served]) -> None:
    perdura.database.server.stop()
    picture(perdura.media / "a.png")
    served = serve()
    picture(perdura.media / "b.png")
    served.says("database unreachable")
    perdura.database.server.start()
    wait_for_all(perdura)


def test_a_frozen_database(perdura: Perdura, serve: Callable[..., Served]) -> None:
    served = serve()
    perdura.database.server.sigstop()
    for n in range(100):
        picture(perdura.media / f"{n}.png", seed=n)
    served.says("database does not accept files", STATEMENT_S + SOON_S)
    perdura.database.server.sigcont()
    wait_for_all(perdura)


def test_cut_connections(perdura: Perdura, serve: Callable[..., Served]) -> None:
    serve()
    for n in range(200):
        picture(perdura.media / f"{n}.png", seed=n)
        if n % 20 == 0:
            perdura.database.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    wait_for_all(perdura)


def test_what_is_no_image_is_said_and_taken_when_it_is(perdura: Perdura, serve: Callable[..., Served]) -> None:
    served = serve()
    write(perdura.media / "text.jpg", b"only text")
    served.says("text.jpg")
    assert "file cannot be stored" in served.log
    picture(perdura.media / "text.jpg")
    wait_for_all(perdura)


def test_a_slow_writer_is_taken_whole(perdura: Perdura, serve: Callable[..., Served]) -> None:
    serve().flush()
    data = images.sized("png", 50_000, 1)
    with (perdura.media / "slow.png").open("wb") as file:
        for at in range(0, len(data), 10_000):
            file.write(data[at : at + 10_000])
            file.flush()
            time.sleep(0.1)  # it is slow
            assert stored(perdura) == {}
    wait_for_all(perdura)


def test_a_file_that_cannot_be_looked_at_is_not_taken_for_gone(perdura: Perdura, serve: Callable[..., Served]) -> None:
    """While no more descriptors are to be had nothing else looks for it, and no scan is near."""
    served = serve()
    picture(perdura.media / "before.png", seed=1)
    wait_for_all(perdura)
    limits = resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE)
    opened = len(os.listdir(f"/proc/{served.process.pid}/fd"))
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    assert opened > 3
    picture(perdura.media / "after.png", seed=2)
    time.sleep(1)
    resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, limits)
    wait_for_all(perdura)


def test_the_root_is_removed_and_made_anew(perdura: Perdura, serve: Callable[..., Served]) -> None:
    served = serve().settled()
    picture(perdura.media / "a/1.png", seed=1)
    wait_for_all(perdura)
    remove_tree(perdura.media)
    served.flush()
    picture(perdura.media / "b/2.png", seed=2)
    wait_for_all(perdura)
    picture(perdura.media / "b/3.png", seed=3)
    wait_for_all(perdura)
    shutil.rmtree(perdura.media)
    picture(perdura.media / "c/4.png", seed=4)
    wait_for_all(perdura)
    assert set(stored(perdura)) == {"a/1.png", "b/2.png", "b/3.png", "c/4.png"}


def test_the_last_flush_leaves_nothing_behind(perdura: Perdura, serve: Callable[..., Served]) -> None:
    served = serve()
    make_tree(perdura, 500)
    assert served.stop() == 0
    have = stored(perdura)
    assert {path: have.get(path) for path in on_disk(perdura)} == on_disk(perdura)


def test_conflicts_follow_the_setting(perdura: Perdura, serve: Callable[..., Served]) -> None:
    new = picture(perdura.media / "a.png", seed=1)
    perdura.run("cache-all")
    served = serve()
    served.flush()
    outside = perdura.folder / "old.png"
    picture(outside, seed=2, mtime_ns=10**18)
    outside.rename(perdura.media / "a.png")
    served.flush()
    assert stored(perdura) == {"a.png": sha256(new)}


def test_a_vanished_file_keeps_its_row(perdura: Perdura, serve: Callable[..., Served]) -> None:
    served = serve().settled()
    for n in range(10):
        picture(perdura.media / f"{n}.png", seed=n)
    wait_for_all(perdura)
    (perdura.media / "3.png").unlink()
    served.says('event="deleted file stays stored" collection=media path=3.png')
    served.flush()
    assert len(stored(perdura)) == 10


def remove_tree(folder: Path) -> None:
    """Though Perdura may be making its own folder there."""
    for _ in range(50):
        with suppress(OSError):
            shutil.rmtree(folder)
            return
    shutil.rmtree(folder)


def test_trash_takes_single_deletes(perdura: Perdura, serve: Callable[..., Served]) -> None:
    served = serve(PERDURA_ON_DELETE="trash").settled()
    for n in range(10):
        picture(perdura.media / f"{n}.png", seed=n)
    wait_for_all(perdura)
    (perdura.media / "3.png").unlink()
    wait_until(lambda: "3.png" not in stored(perdura), SOON_S, "3.png in the trash")
    assert len(stored(perdura)) == 9
    picture(perdura.media / "3.png", seed="back")
    wait_for_all(perdura)
    assert "deletes stopped" not in served.log


def test_trash_takes_renamed_temporaries_for_no_deletes(perdura: Perdura, serve: Callable[..., Served]) -> None:
    served = serve(PERDURA_ON_DELETE="trash").settled()
    for first in range(0, 1100, 25):
        for n in range(first, first + 25):
            picture(perdura.media / f".{n}.tmp", seed=n)
        time.sleep(0.1)  # they are seen under this name, and renamed before they count as written
        for n in range(first, first + 25):
            (perdura.media / f".{n}.tmp").rename(perdura.media / f"{n}.png")
    wait_for_all(perdura)
    (perdura.media / "3.png").unlink()
    wait_until(lambda: "3.png" not in stored(perdura), SOON_S, "3.png in the trash")
    assert "deletes stopped" not in served.log


@pytest.mark.parametrize("how", ["many", "root"])
def test_trash_stops_at_a_wipe(perdura: Perdura, serve: Callable[..., Served], how: str) -> None:
    served = serve(PERDURA_ON_DELETE="trash").settled()
    for n in range(5 if how == "root" else 20):
        picture(perdura.media / f"{n}.png", seed=n)
    wait_for_all(perdura)
    before = stored(perdura)
    if how == "root":
        remove_tree(perdura.media)
    else:
        with frozen(served.process):
            for n in range(10):
                (perdura.media / f"{n}.png").unlink()
    served.says("deletes stopped")
    assert stored(perdura) == before
