"""Files that are on disk, on a machine that has hardly any processor time or whose disk is slow: they are served, slowly,
and nobody is told that the database is at fault."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import images
import pytest
from conftest import SANITIZERS, Perdura, Served
from http_client import Answer, url_of

LARGE = 5_000_000
CLIENTS = 40
TIMEOUT_S = 300
RUN_S, REST_S = 0.1, 0.9  # a tenth of one core; it stands still for nearly as long as a database is waited for
SLOW_FILES = 12
SLOW_READ_MS = 700


@contextmanager
def throttled(pid: int) -> Iterator[None]:
    """The process runs a tenth of the time."""
    over = threading.Event()

    def throttle() -> None:
        while not over.wait(RUN_S):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(REST_S)
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=throttle)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def ask_all(served: Served, paths: list[str]) -> list[Answer]:
    with ThreadPoolExecutor(len(paths)) as clients:
        return list(clients.map(lambda path: served.request("GET", url_of(path), timeout=TIMEOUT_S), paths))


def write_large(folder: Path, count: int) -> dict[str, bytes]:
    written = {}
    for number in range(count):
        content = images.make("png", number, 16, 16)
        content += os.urandom(64) * ((LARGE - len(content)) // 64)
        (folder / f"{number}.png").write_bytes(content)
        written[f"{number}.png"] = content
    return written


def test_files_on_disk_are_served_however_little_time_there_is(serve: Callable[..., Served], perdura: Perdura) -> None:
    written = write_large(perdura.media, CLIENTS)
    perdura.run("cache-all")
    served = serve(PERDURA_RESTORE="none")
    with throttled(served.process.pid):
        answers = ask_all(served, list(written))
    assert [answer.status for answer in answers] == [200] * CLIENTS
    assert all(answer.body == content for answer, content in zip(answers, written.values(), strict=True))


def test_images_of_the_database_are_served_however_little_time_there_is(
    serve: Callable[..., Served], perdura: Perdura
) -> None:
    """A process that stands still says nothing about the database."""
    written = write_large(perdura.media, CLIENTS // 4)
    perdura.run("cache-all")
    served = serve(PERDURA_RESTORE="none")
    for path in written:
        (perdura.media / path).unlink()
    with throttled(served.process.pid):
        answers = ask_all(served, list(written))
    assert [answer.status for answer in answers] == [200] * len(written)


@pytest.fixture
def slow_disk(perdura: Perdura) -> dict[str, str]:
    if any(name in os.environ for name in SANITIZERS):
        pytest.skip("sanitizers have a pread of their own")
    library = perdura.folder / "slow_disk.so"
    source = Path(__file__).with_name("slow_disk.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "SLOW_FOLDER": f"{perdura.media}/", "SLOW_READ_MS": str(SLOW_READ_MS)}


def test_a_slow_disk_is_waited_for(
    serve: Callable[..., Served], perdura: Perdura, slow_disk: dict[str, str]
) -> None:
    """Reads queue for longer than the database would be waited for."""
    for number in range(SLOW_FILES):
        (perdura.media / f"{number}.png").write_bytes(images.make("png", number))
    perdura.run("cache-all")
    served = serve(PERDURA_RESTORE="none", **slow_disk)
    answers = ask_all(served, [f"{number}.png" for number in range(SLOW_FILES)])
    assert [answer.status for answer in answers] == [200] * SLOW_FILES
    assert served.get(url_of("none.png")).status == 404  # the database was not given up
