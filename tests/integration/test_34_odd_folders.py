"""Folders on filesystems and in places that tell less than usual: a FUSE mount whose files others remove, and a machine
without /proc."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import SANITIZERS, Perdura
from files import fingerprint, names, picture
from servers import dies_with_us, wait_until

SOON_S = 60
CACHED_S = 600  # for so long the kernel answers a stat without asking bindfs
NO_PROC = 'mount -t tmpfs none /proc && exec "$@"'


@pytest.fixture
def behind(perdura: Perdura) -> Iterator[Path]:
    """The media folder is a FUSE mount of the folder that is returned."""
    if not shutil.which("bindfs") or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("needs bindfs and /dev/fuse")
    source = perdura.folder / "behind"
    source.mkdir()
    options = f"attr_timeout={CACHED_S},entry_timeout={CACHED_S}"
    command = ["bindfs", "-f", "-o", options, source, perdura.media]
    process = subprocess.Popen(dies_with_us(command), stderr=subprocess.PIPE)
    try:
        wait_until(lambda: os.path.ismount(perdura.media) or process.poll() is not None, SOON_S, "the mount")
        if process.poll() is not None:
            assert process.stderr
            pytest.skip(f"bindfs can't mount here: {process.stderr.read().decode()}")
        yield source
    finally:
        perdura.end_started()
        subprocess.run(["umount", "-l", perdura.media], stderr=subprocess.DEVNULL)
        process.terminate()
        process.wait(SOON_S)


def looked_at(media: Path) -> None:
    """What has been looked at is in the kernel's cache."""
    for path in media.rglob("*.png"):
        path.stat()


@pytest.mark.parametrize("wiped", ["files", "folders"])
def test_restore_on_fuse_asks_for_files_that_a_cache_still_has(perdura: Perdura, behind: Path, wiped: str) -> None:
    for n in range(3):
        picture(perdura.media / f"a/b/{n}.png", n)
        picture(perdura.media / f"{n}.png", n)
    perdura.run("cache-all")
    before = fingerprint(perdura.media)
    looked_at(perdura.media)
    for entry in list(behind.iterdir()):
        if wiped == "folders" and entry.is_dir() and entry.name != ".perdura":
            shutil.rmtree(entry)
    for path in list(behind.rglob("*.png")):
        path.unlink()
    checked = perdura.run("check", "--json", check=False).json
    assert checked["store_only"] == 6 and checked["same"] == 0, checked
    restored = perdura.run("restore", "--all", "--json").json
    assert (restored["restored"], restored["present"], restored["newer"], restored["failed"]) == (6, 0, 0, 0), restored
    after = {path: entry.sha256 for path, entry in fingerprint(behind).items() if not path.startswith(".perdura/")}
    assert after == {path: entry.sha256 for path, entry in before.items()}
    again = perdura.run("restore", "--all", "--json").json
    assert (again["restored"], again["present"]) == (0, 6)


@pytest.fixture
def jailed(perdura: Perdura) -> Iterator[Perdura]:
    """Where /proc is not mounted."""
    if any(name in os.environ for name in SANITIZERS):
        pytest.skip("the sanitizers need /proc")
    if subprocess.run(["unshare", "-m", "sh", "-c", NO_PROC, "sh", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("needs root and mount namespaces")
    script = perdura.folder / "jailed"
    script.write_text(f"#!/bin/sh\nexec unshare -m sh -c '{NO_PROC}' sh {perdura.binary} \"$@\"\n")
    script.chmod(0o755)
    perdura.binary = script
    yield perdura


def test_files_are_stored_as_they_are_written_without_proc(jailed: Perdura) -> None:
    (jailed.media / "there").mkdir()
    log_file = jailed.folder / "serve.log"
    with log_file.open("wb") as log:
        settings = {"PERDURA_PORT": "0", "PERDURA_API_TOKEN": "token"}
        process = jailed.start("serve", env=settings, stdout=log, stderr=log)
    wait_until(lambda: "event=listening" in log_file.read_text(), SOON_S, "the start")
    found = re.search(r"listening url=(http://[^\s\"]+)", log_file.read_text())
    assert found

    request = urllib.request.Request(f"{found[1]}/image-cache/status", headers={"Authorization": "Bearer token"})

    def watch() -> dict[str, Any]:
        with urllib.request.urlopen(request, timeout=SOON_S) as answer:
            return json.load(answer)["watch"]

    assert watch()["mode"] != "polling" and watch()["folders"] == 2  # by events
    picture(jailed.media / "a.png", 1)
    picture(jailed.media / "there/b.png", 2)
    picture(jailed.media / "new/folder/c.png", 3)
    wait_until(lambda: jailed.database.value("SELECT count(*) FROM image_cache") == 3, SOON_S, "the rows")
    (jailed.media / "new/folder").rename(jailed.media / "renamed")
    picture(jailed.media / "renamed/d.png", 4)
    wait_until(lambda: jailed.database.value("SELECT count(*) FROM image_cache") == 5, SOON_S, "the rows")
    wait_until(lambda: watch()["folders"] == 4, SOON_S, "the new folders to be counted")
    process.terminate()
    assert process.wait(SOON_S) == 0, log_file.read_text()


def test_run_works_without_proc(jailed: Perdura) -> None:
    picture(jailed.folder / "new.png", 1)
    result = jailed.run("run", "--", "sh", "-c", f"cp new.png {jailed.media}/a.png", env={"PERDURA_PORT": "0"})
    assert "all files are persisted" in result.stderr
    assert names(jailed.media) == {"a.png"}
    assert jailed.database.value("SELECT count(*) FROM image_cache") == 1
