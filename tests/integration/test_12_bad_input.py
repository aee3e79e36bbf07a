"""What is no image, can't be read, or has a name that can't be kept: each is told in its own line, the rest goes in."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import images
import pytest
from conftest import Perdura
from files import fingerprint, give, names, picture, someone_unprivileged, write

GOOD = {"a.png", "sub/b.png", "z.png"}


@pytest.fixture
def media(perdura: Perdura) -> Path:
    """With three good files beside whatever a test adds."""
    for path in GOOD:
        picture(perdura.media / path, seed=path)
    return perdura.media


def stored(perdura: Perdura) -> set[str]:
    return {image["original_path"] for image in perdura.run("list", "--json").json}


def problems(perdura: Perdura, **run) -> dict[str, str]:
    """What cache-all says of each path; it must have failed, stored the good ones, and changed nothing on disk."""
    before = names(perdura.media)
    result = perdura.run("cache-all", check=False, **run)
    assert result.code == 1
    assert stored(perdura) == GOOD
    assert names(perdura.media) == before
    told = {}
    for line in result.stderr.splitlines():
        assert line.startswith("perdura: ")
        path, _, text = line.removeprefix("perdura: ").partition(" ")
        told[path] = text
    return told


@pytest.mark.parametrize(
    "name, data, told",
    [
        ("bad.jpg", b"This is text.\n", "holds text, not image/jpeg"),
        ("bad.png", b"", "is empty"),
        ("bad.webp", b"%PDF-1.7\n", "holds a PDF, not image/webp"),
        ("bad.gif", b"<!doctype html><p>404", "holds HTML or XML, not image/gif"),
        ("bad.avif", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "holds a video, not image/avif"),
        ("bad.svg", b"<html><script>alert(1)</script></html>", "holds HTML or XML, not image/svg+xml"),
        ("bad.bmp", bytes(1000), "holds unknown data, not image/bmp"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_file_that_is_not_what_it_is_called(perdura: Perdura, media: Path, name: str, data: bytes, told: str) -> None:
    write(media / name, data)
    assert problems(perdura) == {name: told}


def test_image_of_another_kind_than_it_is_called_goes_in(perdura: Perdura) -> None:
    write(perdura.media / "really-a.gif", images.make("png", 1))
    perdura.run("cache-all")
    assert perdura.run("info", "really-a.gif", "--json").json["content_type_header"] == "image/png"


def test_unreadable_file(perdura: Perdura, media: Path) -> None:
    picture(media / "locked.png")
    (media / "locked.png").chmod(0)
    (told,) = problems(perdura, **someone_unprivileged()).items()
    assert told[0] == "locked.png" and "Permission denied" in told[1]


def test_unreadable_folder(perdura: Perdura, media: Path) -> None:
    picture(media / "locked/c.png")
    (media / "locked").chmod(0)
    give(media / "locked")
    before = names(media) - {"locked/c.png"}
    result = perdura.run("cache-all", check=False, **someone_unprivileged())
    (media / "locked").chmod(0o755)
    assert result.code == 1 and names(media) == before | {"locked/c.png"}
    (line,) = result.stderr.splitlines()
    assert line.startswith("perdura: locked can't be listed") and "Permission denied" in line
    assert stored(perdura) == GOOD


def test_fifo(perdura: Perdura, media: Path) -> None:
    """Nobody writes into it: whoever opens it waits forever."""
    os.mkfifo(media / "pipe.png")
    assert problems(perdura) == {"pipe.png": "is a FIFO, not a file"}


def test_socket(perdura: Perdura, media: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, inside(media):
        listener.bind("socket.png")
        assert problems(perdura) == {"socket.png": "is a socket, not a file"}


def test_device(perdura: Perdura, media: Path) -> None:
    try:
        os.mknod(media / "zero.png", 0o20666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    assert problems(perdura) == {"zero.png": "is a device, not a file"}


@pytest.mark.parametrize("absolute", [True, False])
def test_link_out_of_the_folder(perdura: Perdura, media: Path, absolute: bool) -> None:
    outside = perdura.folder / "outside"
    picture(outside / "secret.png", seed="secret")
    (media / "link.png").symlink_to(outside / "secret.png" if absolute else "../outside/secret.png")
    (media / "folder").symlink_to(outside if absolute else "../outside")
    told = problems(perdura)
    assert set(told) == {"link.png", "folder"}
    assert all("leads out of the collection's folder" in text for text in told.values())


def test_dangling_link(perdura: Perdura, media: Path) -> None:
    (media / "link.png").symlink_to("nowhere.png")
    (told,) = problems(perdura).items()
    assert told[0] == "link.png" and "does not exist" in told[1]


def test_links_in_a_circle(perdura: Perdura, media: Path) -> None:
    (media / "one.png").symlink_to("two.png")
    (media / "two.png").symlink_to("one.png")
    (media / "sub/up").symlink_to("..")  # a folder that holds itself: not walked, and no problem
    told = problems(perdura)
    assert set(told) == {"one.png", "two.png"}
    assert all("leads back to itself" in text for text in told.values())


def test_name_that_is_not_utf_8(perdura: Perdura, media: Path) -> None:
    (media / os.fsdecode(b"caf\xe9.png")).write_bytes(images.make("png", 1))
    os.mkdir(os.fsencode(media) + b"/na\xefve")
    (media / os.fsdecode(b"na\xefve/c.png")).write_bytes(images.make("png", 1))
    told = problems(perdura)
    assert set(told) == {"caf\\xe9.png", "na\\xefve"}
    assert all("not UTF-8" in text for text in told.values())


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Only from within can what is longer than PATH_MAX be reached."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.fixture
def deep(media: Path) -> Iterator[Callable[[int], None]]:
    """Makes a picture beneath so many folders of 200 bytes; takes them away again, which rmtree() can't."""
    name = "x" * 200

    def make(folders: int) -> None:
        with inside(media):
            for _ in range(folders):
                os.mkdir(name)
                os.chdir(name)
            Path("deep.png").write_bytes(images.make("png", 1))

    yield make
    with inside(media):
        while os.path.isdir(name):
            os.chdir(name)
        Path("deep.png").unlink()
        while os.path.basename(os.getcwd()) == name:
            os.chdir("..")
            os.rmdir(name)


def test_path_as_long_as_can_be_kept(perdura: Perdura, deep: Callable[[int], None]) -> None:
    deep(10)
    perdura.run("cache-all")
    assert stored(perdura) == GOOD | {"x" * 200 + "/" + ("x" * 200 + "/") * 9 + "deep.png"}


@pytest.mark.parametrize("folders", [11, 30])
def test_path_that_is_too_long(perdura: Perdura, media: Path, deep: Callable[[int], None], folders: int) -> None:
    """30 of them make more than PATH_MAX."""
    deep(folders)
    result = perdura.run("cache-all", check=False)
    assert result.code == 1
    assert stored(perdura) == GOOD
    (line,) = result.stderr.splitlines()
    assert line.startswith("perdura: xxx") and "at most 2048 are kept" in line


def test_all_of_it_at_once(perdura: Perdura, media: Path) -> None:
    """Each with its own line; in JSON, too."""
    write(media / "text.jpg", b"text")
    write(media / "empty.png", b"")
    os.mkfifo(media / "pipe.png")
    (media / "dangling.png").symlink_to("nowhere")
    write(media / "two\nlines.png", b"text")
    bad = {"text.jpg", "empty.png", "pipe.png", "dangling.png"}
    assert set(problems(perdura)) == bad | {"two\\nlines.png"}
    report = perdura.run("cache-all", "--json", check=False).json
    assert (report["unchanged"], report["failed"], report["cached"]) == (3, 5, 0)
    assert {error["path"] for error in report["errors"]} == bad | {"two\nlines.png"}
    assert all(error["error"] for error in report["errors"])


def test_bad_files_do_not_come_back_as_a_problem_of_restore(perdura: Perdura, media: Path) -> None:
    write(media / "text.jpg", b"text")
    perdura.run("cache-all", check=False)
    before = fingerprint(media)
    (media / "a.png").unlink()
    perdura.run("restore", "--all")
    assert fingerprint(media) == before
