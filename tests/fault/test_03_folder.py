"""The media folder taken away, written to and watched while it is restored; system calls that are refused."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import images
import pytest
from conftest import Perdura, Result
from faults import (  # noqa: F401
    COMMANDS,
    FEW_ROUNDS,
    OWN_FOLDER,
    Files,
    Shop,
    Version,
    check_files,
    files,
    finish,
    start_into_files,
    rng,
    sha256,
    shop,
    told,
    visible,
)

REFUSE = Path(__file__).resolve().parent / "refuse.py"
LINES_MAX = 20  # of problems, when there is one cause for all of them


# A filter that refuses system calls


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
@pytest.mark.parametrize("refused", ["openat2", "renameat2", "syncfs", "openat2 renameat2 syncfs"])
def test_refused_system_calls(shop: Shop, refused: str, error: str, command: str) -> None:
    rules = [f"{name}={error}" for name in refused.split()]
    for start in ("none", "old_half"):
        shop.prepare(command, start)
        done = subprocess.run(
            [REFUSE, *rules, "--", shop.perdura.binary, *shop.arguments(command)],
            env=shop.perdura.env,
            cwd=shop.perdura.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        shop.check(command, complete=True)
        assert not (shop.media / OWN_FOLDER).exists()


# What the app does meanwhile


def test_no_partial_file_is_ever_visible(shop: Shop) -> None:
    """Looks at all files, over and over, while they appear."""
    for start in ("none", "old_half"):
        shop.prepare("restore", start)
        process = shop.start("restore", env={"PERDURA_DB_POOL": "2"})
        looks = 0
        while process.poll() is None:
            check_visible_while_it_changes(shop.files, shop.media)
            looks += 1
        assert finish(process).code == 0
        assert looks > 1
        shop.check("restore", complete=True)


def check_visible_while_it_changes(files: Files, media: Path) -> None:
    """As check_files, for the whole time from opening a file to reading it."""
    for path in list(visible(media)):
        with open(media / path, "rb") as file:
            mtime_ns = os.fstat(file.fileno()).st_mtime_ns
            assert Version(sha256(file.read()), mtime_ns) in files.versions[path], f"{path!r} is torn"


class App(threading.Thread):
    """Writes files of its own at paths that are being restored, in place or by renaming, until it is told to stop."""

    def __init__(self, shop: Shop, numbers: random.Random) -> None:
        super().__init__()
        self.shop = shop
        self.numbers = numbers
        self.written: dict[str, bytes] = {}
        self.enough = threading.Event()

    def run(self) -> None:
        paths = list(self.shop.files.versions)
        self.numbers.shuffle(paths)
        for number, path in enumerate(paths):
            if self.enough.wait(0.0005):
                break
            content = images.make("png", (path, self.numbers.random()), 8, 6)
            target = self.shop.media / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if number % 2:
                with open(target, "wb") as file:
                    file.write(content)
            else:
                temporary = target.parent / f"upload {number}"
                temporary.write_bytes(content)
                os.rename(temporary, target)
            self.written[path] = content


@pytest.mark.parametrize("start", ["none", "old_half"])
def test_an_upload_in_the_middle_of_a_restore_wins(shop: Shop, start: str) -> None:
    numbers = rng(f"upload {start}")
    for i in range(FEW_ROUNDS):
        with told(f"uploads into a restore from {start}, round {i}"):
            shop.prepare("restore", start)
            app = App(shop, numbers)
            process = shop.start("restore", env={"PERDURA_DB_POOL": ("2", "4")[i % 2]})
            app.start()
            result = finish(process)
            app.enough.set()
            app.join()
            assert result.code == 0, result.stderr
            assert app.written
            for path in visible(shop.media):
                content = (shop.media / path).read_bytes()
                if path in app.written:
                    assert content == app.written[path], f"the upload to {path!r} was lost"
                else:
                    assert sha256(content) == shop.files.versions[path][1].sha256
            assert not (shop.media / OWN_FOLDER).exists()


# The folder taken away


def test_the_folder_is_removed_meanwhile(shop: Shop) -> None:
    """Its content, again and again, then itself. Each file that went before the folder did is told."""

    def remove(media: Path) -> None:
        shutil.rmtree(media, ignore_errors=True)

    disturb(shop, remove)


def test_the_folder_is_replaced_by_a_file_meanwhile(shop: Shop) -> None:
    away = shop.media.with_name("away")

    def replace(media: Path) -> None:
        if not away.exists():
            media.rename(away)
            media.write_bytes(b"a file")

    disturb(shop, replace, [away])


def test_a_folder_that_is_a_file_is_told_once(shop: Shop) -> None:
    shop.prepare("restore", "none")
    shutil.rmtree(shop.media, ignore_errors=True)
    shop.media.write_bytes(b"a file")
    result = finish(shop.start("restore"))
    shop.media.unlink()
    assert result.code == 1
    assert cannot_be_opened(result), result
    assert len(result.stderr.splitlines()) == 1 and "PERDURA_MEDIA_ROOT" in result.stderr
    assert result.json["failed"] == len(shop.files.versions)
    shop.complete("restore")


def test_the_folder_is_moved_away_and_made_anew_meanwhile(shop: Shop) -> None:
    away = shop.media.with_name("away")

    def replace(media: Path) -> None:
        if not away.exists():
            media.rename(away)
            media.mkdir()

    disturb(shop, replace, [away])


def disturb(shop: Shop, harm: Callable[[Path], None], others: list[Path] | None = None) -> None:
    numbers = rng(harm.__qualname__)
    for folder in others or []:
        shutil.rmtree(folder, ignore_errors=True)
    for i in range(FEW_ROUNDS):
        shop.prepare("restore", ("none", "old_half")[i % 2])
        pool = ("2", "4")[i % 2]
        after_s = numbers.uniform(0, shop.expected_seconds("restore", "none", pool, "from the start"))
        shop.prepare("restore", ("none", "old_half")[i % 2])
        with told(f"{harm.__qualname__}, round {i}, after {after_s:.4f} s"):
            process = shop.start("restore", env={"PERDURA_DB_POOL": pool})
            time.sleep(after_s)
            deadline = time.monotonic() + 60
            while process.poll() is None:
                assert time.monotonic() < deadline, "it does not end"
                harm(shop.media)
            result = finish(process)
            check_ended(result)
            if result.code == 1 and others:
                assert "was moved, removed or replaced meanwhile" in result.stderr or cannot_be_opened(result)
                assert len(result.json["errors"]) < 9
            for folder in [shop.media, *(others or [])]:
                if folder.is_dir():
                    check_files(shop.files, folder)
                if folder.is_file():
                    folder.unlink()
            for folder in others or []:
                shutil.rmtree(folder, ignore_errors=True)
            shop.complete("restore")


def cannot_be_opened(result: Result) -> bool:
    """The harm was done before the program looked at the folder for the first time."""
    return "can't be opened" in result.stderr and not result.json["errors"]


def check_ended(result: Result) -> None:
    """It has done all, or says why not."""
    assert result.code in (0, 1), result
    report = result.json
    if result.code == 1:
        assert "failure" in report and result.stderr.splitlines()[-1].startswith("perdura: ") or report["errors"], result


def test_the_folder_is_made_read_only_meanwhile(shop: Shop, perdura: Perdura) -> None:
    """Needs a user whom permissions bind: the program runs as `nobody` when the tests run as root."""
    shop.prepare("restore", "none")
    user = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for folder in (shop.perdura.folder, shop.media):
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        if subprocess.run(["test", "-x", shop.perdura.binary], **user).returncode != 0:
            pytest.skip("nobody can't run the program where it lies")
    process = start_into_files(shop.perdura, *shop.arguments("restore"), env={"PERDURA_DB_POOL": "2"}, **user)
    while not shop.done("restore") and not shop.temporaries() and process.poll() is None:
        pass
    folders = [Path(folder) for folder, _, _ in os.walk(shop.media)]
    for folder in folders:
        if folder.exists() and OWN_FOLDER not in folder.parts:
            folder.chmod(0o555)
    result = finish(process)
    check_ended(result)
    check_files(shop.files, shop.media)
    print(f"\n    read-only: exit {result.code}, {len(result.json['errors'])} problems, {result.json.get('failure')}")
    for folder, _, _ in os.walk(shop.media):
        os.chmod(folder, 0o755)
    shop.complete("restore")
