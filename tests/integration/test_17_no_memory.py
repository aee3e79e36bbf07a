"""Memory and threads that run out in the middle of things."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import images
import pytest
from conftest import SANITIZERS, Perdura
from files import sha256, write

SOURCE = Path(__file__).with_name("no_memory.c")

pytestmark = pytest.mark.skipif(
    any(name in os.environ for name in SANITIZERS), reason="sanitizers have a realloc of their own"
)


@pytest.fixture
def shim(perdura: Perdura) -> dict[str, str]:
    library = perdura.folder / "no_memory.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "PERDURA_DB_POOL": "2"}


def test_no_image_gets_the_bytes_of_one_that_found_no_memory(perdura: Perdura, shim: dict[str, str]) -> None:
    """The paths are what is long here: their column is the first one to grow so far, after the bytes' column has taken
    the image. (The list of paths that are looked up grows so far as well, once.)"""
    wanted = {}
    for n in range(50):
        data = images.make("png", n, 8, 8)
        path = "/".join([f"{n:02}"] + ["x" * 200] * 9 + [f"{n:02}.png"])
        write(perdura.media / path, data)
        wanted[path] = sha256(data)
    limits = {"NO_MEMORY_FROM": "50000", "NO_MEMORY_TO": "74999", "NO_MEMORY_AT": "2"}
    result = perdura.run("cache-all", check=False, env={**shim, **limits})
    assert result.code == 1 and "out of memory" in result.stderr, result.stderr
    stored = dict(
        perdura.database.query(
            "SELECT original_path, encode(sha256(decode(image_data, 'base64')), 'hex') FROM image_cache"
        )
    )
    assert len(stored) == 49 and stored.items() <= wanted.items()
    perdura.run("cache-all")
    assert perdura.run("fsck", check=False).code == 0


def test_restore_goes_on_where_no_thread_is_left_for_transfers(perdura: Perdura, shim: dict[str, str]) -> None:
    """What starts threads before the transfers is fewer than ten; they are eight."""
    write(perdura.media / "a.png", images.make("png", 1))
    perdura.run("cache-all")
    perdura.database.query("UPDATE image_cache SET image_data = NULL, image_url = 'https://nowhere.example/a.png'")
    (perdura.media / "a.png").unlink()
    result = perdura.run("restore", "--all", check=False, env={**shim, "NO_THREAD_AT": "10"})
    assert result.code == 1, result.stderr
    assert "a.png" in result.stderr and "thread" in result.stderr
