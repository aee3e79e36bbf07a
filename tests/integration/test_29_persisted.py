"""Nothing says that all files are persisted while one is not: flush, the exit code, the log, /ready, the status and the
metrics name each file that can't be stored, and the files that are not kept."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import images
import pytest
from conftest import Perdura
from files import give, picture, someone_unprivileged, write
from http_client import TOKEN, HttpClient
from servers import frozen, wait_until

SOON_S = 60
UNFLUSHED = 75
MIB = 1024 * 1024


class Instance(HttpClient):
    """`perdura serve` as a user whom permissions bind, with its log; it may end with any code."""

    def __init__(self, perdura: Perdura, user: dict[str, Any], **env: str) -> None:
        self.log_file = perdura.folder / "serve.log"
        settings = {"PERDURA_PORT": "0", "PERDURA_BIND": "127.0.0.1", "PERDURA_API_TOKEN": TOKEN, **env}
        with self.log_file.open("wb") as log:
            self.process = perdura.start("serve", env=settings, stdout=log, stderr=log, **user)
        pattern = re.compile(r"event=listening url=http://127\.0\.0\.1:(\d+)")
        wait_until(lambda: pattern.search(self.log) or self.process.poll() is not None, SOON_S, "the start")
        found = pattern.search(self.log)
        assert found, self.log
        super().__init__("127.0.0.1", int(found[1]))

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(SOON_S)

    def metric(self, name: str) -> float:
        (line,) = [line for line in self.get("/metrics").body.decode().splitlines() if line.startswith(name + " ")]
        return float(line.split()[1])


@pytest.fixture
def user(perdura: Perdura) -> dict[str, Any]:
    """Arguments that start the program as somebody who may not read everything, who owns the media folder."""
    give(perdura.media)
    give(perdura.folder)
    return someone_unprivileged()


@pytest.fixture
def serve(perdura: Perdura, user: dict[str, Any]) -> Iterator[Callable[..., Instance]]:
    running: list[Instance] = []

    def start(**env: str) -> Instance:
        running.append(Instance(perdura, user, **env))
        return running[-1]

    yield start
    for instance in running:
        if instance.process.poll() is None:
            instance.stop()
        assert "Sanitizer" not in instance.log, instance.log


# Files that can't be stored: what makes them, under which name they are told, and a part of the reason


def large(media: Path) -> None:
    write(media / "holiday.jpg", images.sized("jpeg", 6 * MIB, 1))


# Closed before it is in the folder: a watcher may read it at once.


def unreadable(media: Path) -> None:
    picture(media.parent / "closed.png")
    (media.parent / "closed.png").chmod(0)
    (media.parent / "closed.png").rename(media / "closed.png")


def unreadable_folder(media: Path) -> None:
    picture(media.parent / "closed/a.png")
    give(media.parent / "closed")
    (media.parent / "closed").chmod(0o200)  # a folder that is moved has to be writable
    (media.parent / "closed").rename(media / "closed")


def link_out(media: Path) -> None:
    picture(media.parent / "outside.png")
    (media / "link.png").symlink_to("../outside.png")


def dangling_link(media: Path) -> None:
    (media / "link.png").symlink_to("nowhere.png")


def not_utf8(media: Path) -> None:
    (media / os.fsdecode(b"caf\xe9.png")).write_bytes(images.make("png", 1))


def too_long(media: Path) -> None:
    here, name = os.getcwd(), "x" * 200
    os.chdir(media)
    try:
        for _ in range(10):
            os.mkdir(name)
            os.chdir(name)
        Path("y" * 100 + ".png").write_bytes(images.make("png", 1))
    finally:
        os.chdir(here)


def empty(media: Path) -> None:
    write(media / "empty.png", b"")


def text(media: Path) -> None:
    write(media / "text.jpg", b"This is text.\n")


def fifo(media: Path) -> None:
    os.mkfifo(media / "pipe.png")


def unix_socket(media: Path) -> None:
    here = os.getcwd()
    os.chdir(media)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("s.png")
    finally:
        os.chdir(here)


FAILURES = [
    pytest.param(make, path, reason, id=make.__name__)
    for make, path, reason in (
        (large, "holiday.jpg", "PERDURA_LARGE_BUCKET"),
        (unreadable, "closed.png", "Permission denied"),
        (unreadable_folder, "closed", "Permission denied"),
        (link_out, "link.png", "leads out of the collection's folder"),
        (dangling_link, "link.png", "does not exist"),
        (not_utf8, "caf\\xe9.png", "not UTF-8"),
        (too_long, "xxx", "at most 2048"),
        (empty, "empty.png", "is empty"),
        (text, "text.jpg", "holds text, not image/jpeg"),
        (fifo, "pipe.png", "is a FIFO"),
        (unix_socket, "s.png", "is a socket"),
    )
]


def unfailed(media: Path, names: set[str]) -> None:
    """Takes away what is not one of the `names`."""
    for entry in media.iterdir():
        if entry.name in names:
            continue
        if entry.is_dir() and not entry.is_symlink():
            entry.chmod(0o755)
            shutil.rmtree(entry)
        else:
            entry.unlink()


@pytest.mark.parametrize(("make", "path", "reason"), FAILURES)
def test_a_file_that_cannot_be_stored_is_named_everywhere(
    perdura: Perdura, serve: Callable[..., Instance], make: Callable[[Path], None], path: str, reason: str
) -> None:
    picture(perdura.media / "good.png", "good")
    served = serve()
    assert served.post("/image-cache/flush").json["persisted"] is True
    make(perdura.media)

    flushed = served.post("/image-cache/flush")
    assert reason in flushed.problem(409)
    assert (flushed.json["persisted"], flushed.json["failed"], flushed.json["pending"]) == (False, 1, 0)
    for body in (flushed.json, served.get("/image-cache/status").json, served.get("/ready").json):
        (file,) = body["unpersisted"]
        assert file["state"] == "failed" and file["path"].startswith(path) and reason in file["reason"], file
    assert served.metric("perdura_failed_files") == 1
    assert served.get("/image-cache/status").json["watch"]["failed"] == 1

    unfailed(perdura.media, {"good.png", ".perdura"})
    flushed = served.post("/image-cache/flush")
    assert flushed.status == 200 and flushed.json["persisted"] is True, flushed.json
    assert flushed.json["unpersisted"] == [] and served.metric("perdura_failed_files") == 0
    assert served.stop() == 0 and 'event="all files are persisted"' in served.log


@pytest.mark.parametrize("command", ["run", "serve"])
@pytest.mark.parametrize(("make", "path", "reason"), FAILURES)
def test_a_file_that_cannot_be_stored_decides_the_exit_code(
    perdura: Perdura, user: dict[str, Any], serve: Callable[..., Instance], command: str,
    make: Callable[[Path], None], path: str, reason: str,
) -> None:  # fmt: skip
    make(perdura.media)
    picture(perdura.media / "good.png", "good")
    if command == "serve":
        served = serve()
        code, log = served.stop(), served.log
    else:
        result = perdura.run("run", "--", "true", env={"PERDURA_PORT": "0"}, check=False, **user)
        code, log = result.code, result.stderr
    assert code == UNFLUSHED, log
    (line,) = [line for line in log.splitlines() if 'event="file not persisted"' in line]
    assert path in line.replace("\\\\", "\\") and reason in line
    assert "all files are persisted" not in log
    assert perdura.database.query("SELECT original_path FROM image_cache") == [("good.png",)]


def test_the_apps_own_code_wins(perdura: Perdura) -> None:
    large(perdura.media)
    result = perdura.run("run", "--", "sh", "-c", "exit 3", env={"PERDURA_PORT": "0"}, check=False)
    assert result.code == 3 and 'event="file not persisted"' in result.stderr


def test_the_list_is_bounded_and_the_number_is_not(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    for n in range(250):
        write(perdura.media / f"{n}.jpg", b"text")
        write(perdura.media / f"{n}.csv", b"a;b\n")
    served = serve()
    flushed = served.post("/image-cache/flush").json
    assert (flushed["persisted"], flushed["failed"], flushed["not_kept"]) == (False, 250, 250)
    assert len(flushed["unpersisted"]) == 100 and len(flushed["not_kept_files"]["files"]) == 100
    assert flushed["not_kept_files"]["kinds"] == {"csv": 250}
    assert served.stop() == UNFLUSHED
    assert served.log.count('event="file not persisted"') == 250


def test_a_failure_that_was_mended_is_forgotten(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    """The file itself stays as it is: what it needs comes, or its permissions change."""
    media = perdura.media
    dangling_link(media)
    unreadable(media)
    served = serve()
    flushed = served.post("/image-cache/flush").json
    assert {file["path"] for file in flushed["unpersisted"]} == {"link.png", "closed.png"}
    picture(media / "nowhere.png", "target")
    (media / "closed.png").chmod(0o644)
    assert served.post("/image-cache/flush").json["persisted"] is True
    assert perdura.database.value("SELECT count(*) FROM image_cache") == 3


def test_every_folder_counts(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    avatars = perdura.folder / "avatars"
    avatars.mkdir()
    large(avatars)
    give(avatars)
    served = serve(PERDURA_COLLECTIONS=f"avatars={avatars}@/avatars")
    picture(perdura.media / "good.png", "good")
    flushed = served.post("/image-cache/flush").json
    assert flushed["persisted"] is False
    assert [(file["collection"], file["path"]) for file in flushed["unpersisted"]] == [("avatars", "holiday.jpg")]
    assert served.stop() == UNFLUSHED


def test_a_root_that_cannot_be_listed(perdura: Perdura, user: dict[str, Any], serve: Callable[..., Instance]) -> None:
    if not user and os.geteuid() == 0:
        pytest.skip("root lists everything")
    picture(perdura.media / "good.png", "good")
    served = serve()
    assert served.post("/image-cache/flush").status == 200
    perdura.media.chmod(0)
    try:
        flushed = served.post("/image-cache/flush")
        assert flushed.status in (409, 503) and flushed.json["persisted"] is False, flushed
        assert str(perdura.media) in flushed.json["detail"]
    finally:
        perdura.media.chmod(0o755)
    wait_until(lambda: served.post("/image-cache/flush").status == 200, SOON_S, "the folder")


# Files that are not kept


def others(media: Path) -> None:
    for name in ("report.pdf", "a/clip.mp4", "a/data.csv", "b/data.CSV", "notes", ".hidden"):
        write(media / name, b"%PDF-1.7\n" + name.encode())


def test_files_that_are_not_kept_are_counted_and_listed(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    picture(perdura.media / "good.png", "good")
    others(perdura.media)
    served = serve()
    flushed = served.post("/image-cache/flush")
    assert flushed.status == 200
    for body in (flushed.json, served.get("/image-cache/status").json, served.get("/ready").json):
        told = body["not_kept_files"]
        assert told["kinds"] == {"csv": 2, "other": 2, "mp4": 1, "pdf": 1}
        assert {file["path"] for file in told["files"]} == {
            "report.pdf", "a/clip.mp4", "a/data.csv", "b/data.CSV", "notes", ".hidden"}  # fmt: skip
    assert (flushed.json["persisted"], flushed.json["not_kept"]) == (True, 6)
    assert served.metric("perdura_not_kept_files") == 6
    (perdura.media / "report.pdf").unlink()
    assert served.post("/image-cache/flush").json["not_kept"] == 5
    assert served.stop() == 0
    (line,) = [line for line in served.log.splitlines() if "all files are persisted" in line]
    assert "not_kept=5" in line
    assert 'event="file not kept" collection=media path=a/clip.mp4' in served.log and "csv=2" in served.log


def test_files_that_are_not_kept_do_not_change_the_exit_code(perdura: Perdura) -> None:
    others(perdura.media)
    result = perdura.run("run", "--", "true", env={"PERDURA_PORT": "0"})
    assert re.search(r"all files are persisted.*not_kept=6", result.stderr), result.stderr


def test_an_image_that_becomes_something_else(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    """It has no name that says what it is."""
    picture(perdura.media / "upload", "image")
    served = serve()
    assert served.post("/image-cache/flush").json["not_kept"] == 0
    write(perdura.media / "upload", b"text")
    assert served.post("/image-cache/flush").json["not_kept"] == 1
    picture(perdura.media / "upload", "another")
    assert served.post("/image-cache/flush").json["not_kept"] == 0


# Files that are being written


def test_a_file_that_is_empty_for_a_moment(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    """As ImageMagick and open("wb").close() make it."""
    served = serve()
    path = perdura.media / "thumb.png"
    path.touch()
    wait_until(lambda: served.get("/ready").json["pending"] == 1, SOON_S, "the event")
    time.sleep(2)  # nothing is waited for: the file just stays empty for this long
    assert "is empty" not in served.log
    picture(path, "content")
    wait_until(lambda: perdura.database.value("SELECT count(*) FROM image_cache") == 1, SOON_S, "the row")
    assert served.stop() == 0 and "is empty" not in served.log


def test_a_file_that_stays_empty(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    served = serve()
    (perdura.media / "thumb.png").touch()
    wait_until(lambda: "is empty" in served.log, SOON_S, "the warning")
    assert served.log.count("is empty") == 1


def test_a_stored_file_that_is_emptied_for_a_moment(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    served = serve()
    path = perdura.media / "a.png"
    for n in range(30):
        path.write_bytes(b"")
        picture(path, n)
    assert served.post("/image-cache/flush").status == 200
    assert served.stop() == 0 and "is empty" not in served.log


# Deletes that are not applied to the store


KEPT = re.compile(r'event="deleted file stays stored" collection=(\S+) path=(\S+)')
MORE = re.compile(r'event="more deleted files stay stored" files=(\d+)')


def fill(perdura: Perdura, count: int, folder: str = "") -> None:
    for n in range(count):
        picture(perdura.media / folder / f"{n}.png", n)


def test_a_delete_that_is_not_applied_is_logged(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    fill(perdura, 3)
    write(perdura.media / "notes.txt", b"text")
    served = serve()
    assert served.post("/image-cache/flush").status == 200
    (perdura.media / "1.png").unlink()
    (perdura.media / "notes.txt").unlink()
    wait_until(lambda: KEPT.search(served.log), SOON_S, "the line")
    (line,) = [line for line in served.log.splitlines() if "stays stored" in line]
    assert "path=1.png" in line and "PERDURA_ON_DELETE=trash" in line
    assert served.metric("perdura_kept_deletes_total") == 1
    assert perdura.database.value("SELECT count(*) FROM image_cache WHERE deleted_at IS NULL") == 3
    assert served.stop() == 0 and len(KEPT.findall(served.log)) == 1


def test_a_delete_right_before_the_end_is_logged(perdura: Perdura) -> None:
    fill(perdura, 2)
    perdura.run("cache-all")
    result = perdura.run("run", "--", "rm", perdura.media / "0.png", env={"PERDURA_PORT": "0"})
    assert KEPT.findall(result.stderr) == [("media", "0.png")]


def test_many_deletes_are_counted(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    count = 300
    fill(perdura, count, "album")
    picture(perdura.media / "stays.png", "stays")
    served = serve()
    assert served.post("/image-cache/flush").status == 200
    shutil.rmtree(perdura.media / "album")

    def told() -> bool:
        return len(KEPT.findall(served.log)) + sum(map(int, MORE.findall(served.log))) == count

    wait_until(told, SOON_S, "all of them")
    assert len(KEPT.findall(served.log)) == 10
    assert len(MORE.findall(served.log)) < 10
    assert served.metric("perdura_kept_deletes_total") == count


def test_what_is_written_anew_was_not_deleted(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    """As editors do it, in each way; and Perdura's own deletes."""
    media = perdura.media
    fill(perdura, 5)
    served = serve()
    assert served.post("/image-cache/flush").status == 200
    with frozen(served.process):
        picture(media / "new.tmp", "a")
        (media / "new.tmp").rename(media / "0.png")
        (media / "1.png").unlink()
        picture(media / "1.png", "b")
        (media / "2.png").rename(media / "2.png~")
        picture(media / "2.png", "c")
        (media / "2.png~").unlink()
    assert served.request("DELETE", "/media/3.png").status == 204
    (media / "4.png").unlink()  # the fence: it is told when the others have been looked at
    wait_until(lambda: KEPT.search(served.log), SOON_S, "the line")
    assert served.stop() == 0
    assert KEPT.findall(served.log) == [("media", "4.png")] and not MORE.search(served.log)


MOVED = re.compile(r'event="files of a moved folder stay stored" collection=(\S+) path=(\S+) files=(\d+) advice=".*=trash')


def test_a_folder_that_is_moved_away_is_logged(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    media = perdura.media
    fill(perdura, 3, "k")
    fill(perdura, 2, "k/inner")
    fill(perdura, 4, "l")
    fill(perdura, 1, "k2")
    write(media / "k/notes.txt", b"text")
    served = serve()
    assert served.post("/image-cache/flush").status == 200
    with frozen(served.process):
        (media / "k/0.png").unlink()  # counted with its folder
        (media / "k/inner").rename(perdura.folder / "inner")
        (media / "k").rename(perdura.folder / "elsewhere")
        (media / "l").rename(media / "l2")
    wait_until(lambda: len(MOVED.findall(served.log)) == 2, SOON_S, "the lines")
    assert MOVED.findall(served.log) == [("media", "k", "5"), ("media", "l", "4")]
    assert served.metric("perdura_kept_deletes_total") == 9
    assert served.post("/image-cache/flush").status == 200
    assert perdura.database.value("SELECT count(*) FROM image_cache WHERE deleted_at IS NULL") == 14
    assert served.stop() == 0 and served.log.count("stay stored") == 2 and not KEPT.search(served.log)


def test_what_comes_back_of_a_moved_folder_is_not_counted(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    media, away = perdura.media, perdura.folder / "away"
    fill(perdura, 3, "back")
    fill(perdura, 3, "part")
    fill(perdura, 1)
    served = serve()
    assert served.post("/image-cache/flush").status == 200
    (media / "back").rename(away)
    away.rename(media / "back")
    (media / "part").rename(away)
    picture(media / "part/1.png", 1)
    assert served.post("/image-cache/flush").status == 200
    assert served.stop() == 0
    assert MOVED.findall(served.log) == [("media", "part", "2")]


def test_a_folder_that_is_moved_right_before_the_end_is_logged(perdura: Perdura) -> None:
    fill(perdura, 2, "k")
    perdura.run("cache-all")
    result = perdura.run("run", "--", "mv", perdura.media / "k", perdura.folder / "k", env={"PERDURA_PORT": "0"})
    assert MOVED.findall(result.stderr) == [("media", "k", "2")]


def test_applied_deletes_have_no_such_line(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    fill(perdura, 3)
    served = serve(PERDURA_ON_DELETE="trash")
    assert served.post("/image-cache/flush").status == 200
    (perdura.media / "1.png").unlink()
    count = "SELECT count(*) FROM image_cache WHERE deleted_at IS NOT NULL"
    wait_until(lambda: perdura.database.value(count) == 1, SOON_S, "the trash")
    assert served.stop() == 0 and "stays stored" not in served.log


# The first lines of the log


def events(log: str) -> list[dict[str, str]]:
    """Keys and values of each line."""
    return [
        {key: value.strip('"') for key, value in re.findall(r'(\w+)=("[^"]*"|\S+)', line)}
        for line in log.splitlines()
        if line.startswith("time=")
    ]


@pytest.mark.parametrize("command", ["run", "serve"])
def test_first_lines(perdura: Perdura, user: dict[str, Any], serve: Callable[..., Instance], command: str) -> None:
    fill(perdura, 2)
    perdura.run("cache-all")
    avatars = perdura.folder / "avatars"
    env = {"PERDURA_COLLECTIONS": f"avatars={avatars}@/avatars"}

    def log_of_a_start() -> str:
        """Empty: there was no time to count the files, as may be where a machine is busy."""
        shutil.rmtree(avatars, ignore_errors=True)
        if command == "serve":
            served = serve(**env)
            wait_until(lambda: "database connected" in served.log, SOON_S, "the database")
            served.stop()
            log = served.log
        else:
            log = perdura.run("run", "--", "true", env={"PERDURA_PORT": "0", **env}, **user).stderr
        return "" if "counted=partly" in log else log

    log = wait_until(log_of_a_start, SOON_S, "a start that counts all files")
    told = events(log)
    assert told[0]["event"] == "perdura" and told[0]["version"] in perdura.run("version").stdout
    media, other = told[1], told[2]
    assert (media["collection"], media["path"], media["state"]) == ("media", str(perdura.media), "in use")
    size = sum((perdura.media / f"{n}.png").stat().st_size for n in range(2))
    assert (media["files"], media["bytes"], media["counted"]) == ("2", str(size), "all")
    assert (other["collection"], other["state"], other["files"]) == ("avatars", "created", "0")
    assert told[3]["event"] == "database" and perdura.database.name in told[3]["url"]
    assert told[4]["event"] == "redis" and told[4]["server"] == "off"
    (ready,) = [line for line in told if line["event"] == "database connected"]
    assert int(ready["migrations"]) == int(ready["of"]) > 5 and ready["images"] == "2"
    assert any(line["event"] == "listening" and line["url"].startswith("http://") for line in told)
    assert "nothing is stored yet" not in log  # something is


def test_a_misspelt_folder_is_warned_of(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    (perdura.folder / "medai").mkdir()
    give(perdura.folder)
    served = serve(PERDURA_MEDIA_ROOT=str(perdura.folder / "uplaods"))
    wait_until(lambda: "nothing is stored yet" in served.log, SOON_S, "the warning")
    (line,) = [line for line in events(served.log) if "nothing is stored yet" in line["event"]]
    assert line["level"] == "warn" and line["path"] == str(perdura.folder / "uplaods")
    assert "PERDURA_MEDIA_ROOT" in line["advice"]


def test_a_wiped_folder_is_no_reason_to_warn(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    fill(perdura, 2)
    perdura.run("cache-all")
    shutil.rmtree(perdura.media)
    served = serve()
    wait_until(lambda: "database connected" in served.log and (perdura.media / "1.png").exists(), SOON_S, "the files")
    assert "nothing is stored yet" not in served.log


def test_the_password_is_not_logged(perdura: Perdura, serve: Callable[..., Instance]) -> None:
    url = perdura.database.url.replace("postgresql://postgres@", "postgresql://postgres:hunter2@")
    served = serve(DATABASE_URL=url)
    wait_until(lambda: "database connected" in served.log, SOON_S, "the database")
    assert "hunter2" not in served.log and perdura.database.name in served.log
